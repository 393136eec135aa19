"""`hostwright identity` at a desk: who is admitted, and who no longer is."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest

from agent.cli.main import run
from tests.gitserver import Author, ConfigRepo, author


@pytest.fixture
def web1(tmp_path: Path) -> Author:
    return author(tmp_path / "keys", "web1")


@pytest.fixture
def repo(tmp_path: Path, web1: Author, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """Two hosts, of which web1 is admitted, and the identity of a third that is not in the inventory."""
    repo = ConfigRepo(tmp_path / "work")
    files = {
        "inventories/prod/hosts.yaml": "all:\n  hosts:\n    web1:\n    web2:\n",
        "inventories/prod/site.yaml": "- hosts: all\n  deploys: []\n",
        "inventories/prod/identities/web1.pub": f"{web1.public} web1\n",
        "inventories/prod/identities/old.pub": f"{web1.public} old\n",
    }
    repo.commit("First", files)
    repo.bare(tmp_path / "bare.git")
    monkeypatch.chdir(repo.path)
    return repo


def test_each_host_is_listed_with_its_fingerprint_or_as_not_admitted(
    repo: ConfigRepo, web1: Author, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["identity", "list"]) == 0
    rows = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0], row[1]) for row in rows] == [
        ("web1", web1.fingerprint),
        ("web2", "not"),
        ("old", web1.fingerprint),
    ]
    assert rows[2][2] == "not in the inventory"


def test_who_is_revoked_is_admitted_no_more(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["identity", "revoke", "web1", "--commit"]) == 0
    assert repo.git("ls-tree", "-r", "--name-only", "origin/main", "inventories/prod/identities") == (
        "inventories/prod/identities/old.pub"
    )
    assert run(["identity", "revoke", "web1"]) == 2


def test_retiring_a_host_whose_machine_is_gone_leaves_nothing_of_it_in_the_clone(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["retire", "web1", "--gone", "--yes", "--commit"]) == 0
    assert repo.git("show", "origin/main:inventories/prod/hosts.yaml") == "all:\n  hosts:\n    web2:"
    assert "web1.pub" not in repo.git("ls-tree", "-r", "--name-only", "origin/main")


@pytest.mark.parametrize(
    "command", [("identity", "revoke", "web1"), ("retire", "web1", "--gone", "--yes")], ids=lambda argv: argv[0]
)
def test_no_other_commit_is_pushed_along(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    before = repo.git("ls-remote", "origin")
    repo.commit("Half done", {"inventories/prod/group_vars/all.yaml": "a: 1\n"})
    assert run([*command, "--commit"]) == 3
    assert "Half done" in capsys.readouterr().err
    assert repo.git("ls-remote", "origin") == before
    assert repo.git("status", "--short") == ""


@pytest.mark.parametrize(
    "command", [("identity", "revoke", "web1"), ("retire", "web1", "--gone", "--yes")], ids=lambda argv: argv[0]
)
@pytest.mark.parametrize("path", ["hosts.yaml", "site.yaml"])
def test_what_a_person_has_not_committed_is_not_pushed_along(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], path: str
) -> None:
    before = repo.git("ls-remote", "origin")
    edited = repo.path / "inventories/prod" / path
    edited.write_text(f"{edited.read_text()}# not yet\n")
    assert run([*command, "--commit"]) == 3
    assert f"not committed yet: inventories/prod/{path}" in capsys.readouterr().err
    assert repo.git("ls-remote", "origin") == before
    assert repo.git("status", "--short") == f" M inventories/prod/{path}"


OWN = {
    "inventories/prod/host_vars/web1/site.yaml": "port: 80\n",
    "inventories/prod/host_vars/web1/more/x.yaml": "x: 1\n",
}


@pytest.fixture
def keeper(repo: ConfigRepo) -> ConfigRepo:
    """The same, where web1 has variables and secrets of its own, and one of all hosts."""
    ann, host = (f"{pyrage.x25519.Identity.generate().to_public()}" for _ in range(2))
    identity = repo.git("show", "HEAD:inventories/prod/identities/web1.pub")
    repo.commit(
        "Own",
        {
            **OWN,
            "inventories/prod/identities/old.pub": None,
            "inventories/prod/identities/web1.pub": f"{identity}\n{host}\n",
            "inventories/prod/admins": f"{ann} ann\n",
        },
    )
    for name in ("web1/key", "all/key"):
        value = repo.path.parent / "value"
        value.write_text("one value")
        assert run(["secret", "set", name, "--file", f"{value}"]) == 0
    repo.git("add", "inventories")
    repo.commit("Secrets", {})
    repo.git("push", "--quiet", "origin", "main")
    return repo


def test_a_host_that_is_retired_takes_its_folders_and_pins_along_and_what_it_knows_is_named(
    keeper: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["retire", "web1", "--gone", "--yes", "--commit"]) == 0
    told = capsys.readouterr().out
    assert ("change the secret: all/key" in told, "change the secret: web1/key" in told) == (True, True)
    left = keeper.git("ls-tree", "-r", "--name-only", "origin/main")
    assert "web1" not in left
    assert "web1/key" not in keeper.git("show", "origin/main:inventories/prod/lock.yaml")
    assert run(["check"]) == 0
    assert keeper.git("status", "--short") == ""


def test_who_is_revoked_leaves_the_names_of_the_secrets_that_it_knows(
    keeper: ConfigRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["identity", "revoke", "web1"]) == 0
    assert "change the secret: all/key\nchange the secret: web1/key" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "options", "code"),
    [
        ({}, (), 2),
        ({"inventories/prod/site.yaml": "- hosts: web1\n  deploys: []\n"}, ("--yes",), 6),
        ({"inventories/prod/hosts.yaml": "all: {hosts: {web1: , web2: }}\n"}, ("--yes", "--commit"), 2),
    ],
    ids=["nobody to ask", "still named", "no line of its own"],
)
def test_a_host_that_cannot_be_taken_out_is_not_logged_in_to(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], files: dict[str, str], options: tuple[str, ...], code: int
) -> None:
    if files:
        repo.commit("As it is", files)
        repo.git("push", "--quiet", "origin", "main")
    assert run(["retire", "web1", *options]) == code
    assert repo.git("status", "--short") == ""
