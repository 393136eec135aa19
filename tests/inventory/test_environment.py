from __future__ import annotations

import os

import pytest

from agent.errors import InventoryError
from agent.system import folder
from agent.system.folder import SIZE_LIMIT
from tests.inventory.samples import Repo, checked


def test_what_a_deploy_cannot_find_is_told_with_its_place_once_for_all_deploys_of_a_host(repo: Repo) -> None:
    repo.write_all(
        {
            "site.yaml": "- hosts: web\n  deploys:\n"
            "    - files: {/etc/a: {source: files/nope}}\n"
            "    - dotfiles: {user: ann, sets: [nope]}\n"
        }
    )
    with pytest.raises(InventoryError) as caught:
        repo.load().concrete("web1")
    told = caught.value.message.splitlines()
    assert [line.split(": ")[0] for line in told] == [
        "inventories/demo/site.yaml:3:24",
        "inventories/demo/site.yaml:4:29",
    ]
    assert "there is no file files/nope" in told[0]
    assert "there is no set dotfiles/nope/" in told[1]


def test_what_nobody_names_is_not_looked_at(repo: Repo) -> None:
    repo.write("/files/a", "1\n")
    repo.write("site.yaml", "- {hosts: all, deploys: [{files: {/etc/a: {source: files/a}}}]}")
    (repo.root / ".venv").mkdir()
    (repo.root / ".venv" / os.fsdecode(b"\xff")).write_text("")
    with (repo.root / "image").open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    assert checked(repo.load()) == ()


def test_a_file_that_is_named_and_cannot_be_read_is_named(repo: Repo) -> None:
    with (repo.root / "image").open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    repo.write("site.yaml", "- {hosts: all, deploys: [{files: {/etc/a: {source: image}}}]}")
    (complaint,) = repo.complaints()
    assert "image cannot be read: larger than 256 MiB" in complaint


def test_a_file_is_read_once_however_many_hosts_want_it(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write("/files/a", "1\n")
    repo.write("site.yaml", "- {hosts: all, deploys: [{files: {/etc/a: {source: files/a}}}]}")
    read: list[bytes] = []
    monkeypatch.setattr(folder, "blob_id", lambda content: read.append(content) or "b" * 40)
    checked(repo.load())
    assert read.count(b"1\n") == 1


def test_a_missing_file_is_told_at_its_own_key_with_the_near_name(repo: Repo) -> None:
    repo.write("/files/web/app.conf", "")
    site = "- hosts: db1\n  deploys:\n    - files:\n        /etc/a:\n          source: file/web/ap.conf\n"
    repo.write("site.yaml", site)
    assert repo.complaints() == [
        "site.yaml:5:11: [0].deploys[0].files./etc/a.source: there is no file file/web/ap.conf in the config repo"
        " (host db1); did you mean files/web/app.conf?"
    ]
