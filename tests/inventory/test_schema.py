"""The JSON Schemas accept what the readers accept."""

from __future__ import annotations

import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.errors import UsageError
from agent.inventory.schema import SCHEMAS, schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    document = schema(name)
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"].startswith("urn:hostwright:")


TOOLS = """
ripgrep:
  version: "14.1"
  url: "https://example.org/rg-{{ arch }}.tar.gz"
  platforms: {linux-x86_64: {arch: musl}, linux-aarch64: }
  bin: [rg]
jq: {version: "1", platforms: {linux-x86_64: {url: "https://example.org/jq"}}, bin: {jq: jq}}
ruff: {pip: ruff, version: 0.6.*}
"""

LOCK = f"""
version: 1
tools:
  ruff:
    version: "1"
    bin: {{ruff: ruff}}
    asked: ruff
    requirements:
    - {{requirement: ruff==1, hashes: [sha256:{"a" * 64}]}}
repositories:
- {{url: "git+ssh://h.example/d.git", commit: "{"b" * 40}", tree: "{"c" * 64}"}}
"""

SITE = """
- hosts: all
  deploys:
    - packages: {present: [git, curl]}
    - packages: [git]
    - packages: "{{ base_packages }}"
    - packages
    - {name: motd, deploy: "git+ssh://h.example/d.git@v1//motd.py"}
    - name: nginx
      deploy: deploys/nginx.py
      with: {port: 80}
      needs: [packages]
      mode: observe
      plan: privileged
      merge: replace
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("site", SITE),
        ("site", "[]"),
        ("tools", TOOLS),
        ("lock", LOCK),
        ("fleet", "schedule: {fetch: 5m}\nsuspend: [{hosts: web, reason: x, until: 2026-12-01T06:00Z}]"),
    ],
)
def test_a_good_file_is_valid(name: str, text: str) -> None:
    Draft202012Validator(schema(name)).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("site", "[{hosts: all}]"),
        ("site", "[{hosts: all, deploys: [nope: {}]}]"),
        ("site", "[{hosts: all, deploys: [packages: {presnt: []}]}]"),
        ("site", "[{hosts: all, deploys: [{deploy: ../x.py}]}]"),
        ("tools", "x: {pip: x, versoin: 1}"),
        ("tools", "x: {version: 14.1, platforms: {linux-x86_64: }, bin: [x]}"),
        ("lock", "version: 2"),
        ("fleet", "schedule: {fetch: 60}"),
        ("fleet", "shedule: {}"),
    ],
)
def test_a_wrong_file_is_not(name: str, text: str) -> None:
    assert not Draft202012Validator(schema(name)).is_valid(yaml.safe_load(text))


def test_an_unknown_schema_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        schema("sit")
    assert caught.value.hint == 'did you mean "site"?'
