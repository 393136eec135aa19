"""The JSON Schemas accept what the readers accept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from agent.checks.spec import KINDS as CHECKS
from agent.deploys.spec import kinds, spec_class
from agent.errors import UsageError
from agent.inventory.fleet import Fleet
from agent.inventory.lock import LockFile
from agent.inventory.schema import SCHEMAS, schema
from agent.inventory.tools import Archive, Python
from agent.system import yaml as reader
from agent.system.document import plain


@cache
def validator_of(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


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
        ("fleet", "schedule:\nwindows:\nreboot:\nagent: none\nwebhook: none\nwaves: none"),
        ("fleet", "schedule: {fetch: 5m}\nsuspend: [{hosts: web, reason: x, until: 2026-12-01T06:00Z}]"),
    ],
)
def test_a_good_file_is_valid(name: str, text: str) -> None:
    validator_of(name).validate(yaml.safe_load(text))


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
        ("fleet", "shedule:"),
        ("fleet", "schedule: none"),
    ],
)
def test_a_wrong_file_is_not(name: str, text: str) -> None:
    assert not validator_of(name).is_valid(yaml.safe_load(text))


def test_an_unknown_schema_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        schema("sit")
    assert caught.value.hint == 'did you mean "site"?'


# --- The corpus: what is shipped and shown, and each of it spoilt in every place --------------------------------------

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def said(text: str) -> Any:
    """What a file says, as JSON has it."""
    node = reader.load(text.encode(), "file.yaml")
    return None if node is None else json.loads(json.dumps(plain(node)))


@cache
def corpus(name: str) -> list[Any]:
    shown = re.findall(rf"^```yaml {name}\n(.*?)^```$", CONFIGURATION, re.MULTILINE | re.DOTALL)
    return [said(text) for text in (*shown, *(path.read_text() for path in ROOT.glob(f"inventories/*/{name}.yaml")))]


@pytest.mark.parametrize("name", ["site", "fleet", "tools", "lock"])
def test_what_is_shipped_and_shown_is_valid(name: str) -> None:
    validator = validator_of(name)
    files = corpus(name)
    assert len(files) >= 2
    for document in files:
        validator.validate(document)


WRONG = (None, True, 5, "zz", [], {}, ["zz"], {"zz": 1})


def spoilt(value: Any) -> Iterator[Any]:
    """``value`` with one place of it wrong, or gone, or one key too much."""
    yield from WRONG
    if isinstance(value, dict):
        yield {**value, "zzz": 1}
        for key, inner in value.items():
            yield {name: each for name, each in value.items() if name != key}
            yield from ({**value, key: each} for each in spoilt(inner))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ([*value[:index], each, *value[index + 1 :]] for each in spoilt(inner))


def kinds_of_error(model: type[BaseModel], value: Any) -> set[str]:
    """What the reader has against ``value``: pydantic's types of error, ``value_error`` for what a validator says."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return {found["type"] for found in error.errors()}
    return set()


def arguments(kind: str) -> list[Any]:
    """What the corpus says of one kind of built-in."""
    deploys = [deploy for site in corpus("site") for play in site for deploy in play["deploys"]]
    short = [deploy[kind] for deploy in deploys if isinstance(deploy, dict) and kind in deploy]
    long = [deploy["with"] for deploy in deploys if isinstance(deploy, dict) and deploy.get("deploy") == kind]
    return [each for each in (*short, *long) if "{{" not in json.dumps(each)]


def disagreements(
    validator: Draft202012Validator, judged: Iterator[tuple[Any, set[str]]]
) -> list[tuple[str, Any, set[str]]]:
    """Where a schema refuses what the reader takes, or takes what has the wrong type, keys or form. What a validator of
    ours says of values that fit each for itself, no schema can say."""
    found = []
    for document, errors in judged:
        valid = validator.is_valid(document)
        if (not errors and not valid) or (errors - {"value_error"} and valid):
            found.append(("taken" if valid else "refused", document, errors))
    return found


@pytest.mark.parametrize("kind", kinds())
def test_schema_and_reader_agree_on_a_built_in_however_it_is_spoilt(kind: str) -> None:
    model = spec_class(kind)
    validator = validator_of("site")

    def judged() -> Iterator[tuple[Any, set[str]]]:
        for each in arguments(kind):
            for value in spoilt(each):
                errors = kinds_of_error(model, model.from_short({} if value is None else value))
                yield [{"hosts": "all", "deploys": [{"deploy": kind, "with": value}]}], errors

    assert disagreements(validator, judged()) == []


@pytest.mark.parametrize(("name", "model"), [("fleet", Fleet), ("lock", LockFile)])
def test_schema_and_reader_agree_on_a_file_however_it_is_spoilt(name: str, model: type[BaseModel]) -> None:
    values = ((value, kinds_of_error(model, value)) for each in corpus(name) for value in spoilt(each))
    taken = ((value, errors) for value, errors in values if value is not None)
    assert disagreements(validator_of(name), taken) == []


def test_schema_and_reader_agree_on_a_tool_however_it_is_spoilt() -> None:
    def judged() -> Iterator[tuple[Any, set[str]]]:
        for file in corpus("tools"):
            for tool in file.values():
                for value in (value for value in spoilt(tool) if isinstance(value, dict)):
                    yield {"x": value}, kinds_of_error(Python if "pip" in value else Archive, value)

    assert disagreements(validator_of("tools"), judged()) == []


@pytest.mark.parametrize("kind", CHECKS)
def test_schema_and_reader_agree_on_a_check_however_it_is_spoilt(kind: str) -> None:
    entries = [
        entry
        for site in corpus("site")
        for play in site
        for deploy in play["deploys"]
        for entry in (deploy.get("health", []) if isinstance(deploy, dict) else [])
        if kind in entry
    ]
    sound = entries or [{kind: ["true"] if kind == "command" else "/x" if kind in ("file", "certificate") else "x:1"}]

    def judged() -> Iterator[tuple[Any, set[str]]]:
        for value in (value for entry in sound for value in spoilt(entry) if isinstance(value, dict) and kind in value):
            deploy = {"deploy": "packages", "health": [value]}
            yield [{"hosts": "all", "deploys": [deploy]}], kinds_of_error(CHECKS[kind], value)

    assert disagreements(validator_of("site"), judged()) == []
