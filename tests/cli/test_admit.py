"""`hostwright admit`: who asks is shown, and admitted by a proof of whose request it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from agent.domain.one_time_code import OneTimeCode
from agent.domain.request import request_path
from agent.host.identity import PublicIdentity, decryption_key
from agent.secrets.store import SecretStore
from agent.system import age
from agent.system.folder import FolderTree
from tests.cli.terminal import Terminal
from tests.fleet import samples
from tests.gitserver import ConfigRepo, author
from tests.steps.asking import Fleet, Machine, rotate

PUB = "inventories/prod/identities/web1.pub"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """Of Ann, who has a secret for the group web; its hosts are web1 and web2, and none is admitted."""
    ann = author(tmp_path / "home", "ann")
    (tmp_path / "home/.ssh").mkdir()
    (tmp_path / "home/.ssh/id_ed25519").write_bytes(ann.key.read_bytes())
    monkeypatch.setenv("HOME", f"{tmp_path / 'home'}")
    repo = ConfigRepo(tmp_path / "repo")
    files: dict[str, str | bytes | None] = {
        "inventories/prod/hosts.yaml": "web:\n  hosts:\n    web1:\n    web2:\n",
        "inventories/prod/site.yaml": "- hosts: all\n  deploys: []\n",
        "inventories/prod/admins": f"{ann.public} ann\n",
    }
    repo.write(files)
    SecretStore(repo.path, FolderTree(repo.path), "prod").write("web/admin", b"s3cret")
    SecretStore(repo.path, FolderTree(repo.path), "prod").write("web2/other", b"0ther")
    repo.git("add", "--all")
    repo.commit("First", {})
    repo.bare(tmp_path / "status.git")
    monkeypatch.chdir(repo.path)
    return repo


@pytest.fixture
def web1(tmp_path: Path, repo: ConfigRepo) -> Machine:
    """A machine that has asked."""
    machine = Fleet(tmp_path).machine("one")
    machine.report()
    return machine


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["--json", "admit"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["data"]
    return found


def fingerprint(machine: Machine) -> str:
    return PublicIdentity(machine.key).fingerprint


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """What the command says that ends with ``code`` and has admitted nobody."""
    capsys.readouterr()
    assert run(["admit", *arguments]) == code
    assert not Path(PUB).exists()
    return capsys.readouterr().err


def test_who_asks_is_listed_with_the_fingerprint(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    [found] = listed(capsys)
    assert (found["host"], found["fingerprint"], found["sealed"]) == ("web1", fingerprint(web1), False)
    assert run(["admit"]) == 0
    assert fingerprint(web1) in capsys.readouterr().out


def test_a_host_is_admitted_by_its_fingerprint_and_can_read_its_secrets(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1), "--commit"]) == 0
    changed = repo.git("diff", "--name-only", "HEAD~1", "origin/main").splitlines()
    assert changed == [PUB, "inventories/prod/lock.yaml", "inventories/prod/secrets/web/admin.age"]
    assert repo.git("status", "--short") == ""
    assert Path(PUB).read_bytes() == web1.lines
    key = decryption_key(web1.paths.identity)
    assert age.decrypt(Path("inventories/prod/secrets/web/admin.age").read_bytes(), age.x25519([key])) == b"s3cret"
    web1.report()
    assert listed(capsys) == []


def test_without_commit_what_is_to_be_committed_is_named(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1)]) == 0
    assert f"commit and push: {PUB}, inventories/prod/secrets/web/admin.age" in capsys.readouterr().err
    assert repo.git("ls-remote", "origin", "main").split()[0] == repo.head


def test_a_code_admits_without_a_person_who_compares(
    repo: ConfigRepo, web1: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = OneTimeCode.new()
    web1.paths.code.write_text(code.text)
    web1.report()
    assert "has this code" in refused(capsys, 5, "web1", "--code", OneTimeCode.new().text)
    assert "mistyped" in refused(capsys, 2, "web1", "--code", code.text[:-1] + ("a" if code.text[-1] != "a" else "b"))
    user_data = tmp_path / "user-data.yaml"
    user_data.write_text(f"#cloud-config\n# one-time code {code.text}\n")
    assert run(["admit", "web1", "--code-file", f"{user_data}"]) == 0
    assert Path(PUB).read_bytes() == web1.lines


def test_another_fingerprint_an_unknown_host_and_one_that_does_not_ask_are_refused(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fingerprint(web1) in refused(capsys, 5, "web1", "--fingerprint", f"SHA256:{'A' * 43}")
    assert "did you mean" in refused(capsys, 2, "wbe1", "--fingerprint", fingerprint(web1))
    assert "inventory --pattern all" in refused(capsys, 2, "zz", "--fingerprint", fingerprint(web1))
    assert "web2 does not ask" in refused(capsys, 2, "web2", "--fingerprint", fingerprint(web1))
    assert "nobody is there to be asked" in refused(capsys, 2, "web1")
    assert "no host is named" in refused(capsys, 2, "--fingerprint", fingerprint(web1))


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_at_a_terminal_a_person_is_asked(
    repo: ConfigRepo, web1: Machine, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert run(["admit", "web1"]) == code
    assert Path(PUB).exists() == (code == 0)


def test_of_two_machines_that_ask_for_one_name_the_fingerprint_says_which(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    other = web1.fleet.machine("two")
    code = OneTimeCode.new()
    for machine in (web1, other):  # clones of one disk have one code
        machine.paths.code.write_text(code.text)
        machine.report()
    assert {found["fingerprint"] for found in listed(capsys)} == {fingerprint(web1), fingerprint(other)}
    assert "2 machines ask to be web1" in refused(capsys, 5, "web1", "--code", code.text)
    assert run(["admit", "web1", "--fingerprint", fingerprint(other), "--code", code.text]) == 0
    assert Path(PUB).read_bytes() == other.lines


def test_a_host_that_is_admitted_with_another_key_is_not_admitted_again(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1), "--commit"]) == 0
    web1.report()
    other = web1.fleet.machine("two")
    other.report()
    assert "another key is admitted" in listed(capsys)[0]["what"]
    assert run(["admit", "web1", "--fingerprint", fingerprint(other)]) == 5
    revoke, admit = capsys.readouterr().err.partition(f" shows {fingerprint(other)}: ")[2].split(" && ")
    assert run(revoke.split()[1:]) == 0
    assert run(admit.split()[1:]) == 0
    assert Path(PUB).read_bytes() == other.lines


def test_keys_that_the_admitted_key_vouches_for_follow_it(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1), "--commit"]) == 0
    web1.report()
    rotate(web1)
    assert listed(capsys)[0]["vouched"]
    assert run(["admit", "web1", "--commit"]) == 0
    assert "the admitted key of web1 vouches for" in capsys.readouterr().err
    web1.report()
    assert Path(PUB).read_bytes() == web1.lines
    key = decryption_key(web1.paths.identity)
    assert age.decrypt(Path("inventories/prod/secrets/web/admin.age").read_bytes(), age.x25519([key])) == b"s3cret"


def test_who_cannot_read_a_secret_admits_and_is_told_who_else_has_to_act(
    repo: ConfigRepo, web1: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home/.ssh/id_ed25519").unlink()
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1), "--commit"]) != 0
    assert "secret rekey" in capsys.readouterr().err
    assert repo.git("show", f"origin/main:{PUB}").encode() == web1.lines.strip()


def test_words_of_a_stranger_are_shown_as_words(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.dumps({"host": "\x1b[2J[red]", "at": 2**70})
    samples.tamper(web1.fleet.remote, {request_path("web2"): content.encode(), "requests/xx/[link=x].json": b"{}"})
    assert run(["admit"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[link=x]" in out
    assert "web2" in out


def test_a_crowd_of_files_hides_no_host(repo: ConfigRepo, web1: Machine) -> None:
    samples.tamper(web1.fleet.remote, {f"requests/00/{number:04}.json": b"x" for number in range(1000)})
    assert run(["admit", "web1", "--fingerprint", fingerprint(web1)]) == 0


def test_a_code_admits_once(repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code = OneTimeCode.new()
    web1.paths.code.write_text(code.text)
    web1.report()
    for _ in range(2):  # once more is no harm: they are the same keys
        assert run(["admit", "web1", "--code", code.text, "--commit"]) == 0
    web1.report()
    assert run(["identity", "revoke", "web1", "--commit"]) == 0
    other = web1.fleet.machine("two")
    other.paths.code.write_text(code.text)
    other.report()
    said = refused(capsys, 5, "web1", "--code", code.text)
    assert "was admitted before" in said
    assert run(said.partition(": hostwright ")[2].split()) == 0


def test_without_the_whole_history_a_code_admits_nobody(
    repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    code = OneTimeCode.new()
    web1.paths.code.write_text(code.text)
    web1.report()
    repo.commit("Second", {"README.md": "fleet"})
    (repo.path / ".git/shallow").write_text(f"{repo.head}\n")
    assert "whole history" in refused(capsys, 5, "web1", "--code", code.text)


def test_nothing_is_pushed_along(repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (repo.path / "inventories/prod/site.yaml").write_text("- hosts: web\n  deploys: []\n")
    assert "not committed yet" in refused(capsys, 3, "web1", "--fingerprint", fingerprint(web1), "--commit")


def test_who_is_retired_asks_no_more(repo: ConfigRepo, web1: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retire", "web1", "--gone", "--yes", "--commit"]) == 0
    assert samples.git("ls-tree", "-r", "--name-only", "status", cwd=web1.fleet.remote) == b""
