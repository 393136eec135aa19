"""Lines of trusted_signers and identities that nobody would be told of: `check` names them, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.main import run
from agent.system.allowed_signers import mistakes
from agent.system.process import run as run_program
from tests.gitserver import Author, author


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Author:
    return author(tmp_path_factory.mktemp("keys"), "ann")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One inventory with the host web1."""
    folder = tmp_path / "repo/inventories/prod"
    (folder / "identities").mkdir(parents=True)
    (folder / "hosts.yaml").write_text("all: {hosts: {web1: {}}}\n")
    (folder / "site.yaml").write_text("[]\n")
    monkeypatch.chdir(tmp_path / "repo")
    return folder


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["check"]) == 6
    return capsys.readouterr().err


GARBAGE = [
    "what is this",
    "ann@example.org {type} AAAA",
    "ann@example.org {type} {half}",
    "ann@example.org ssh-rsa {key}",
    'ann@example.org namespace="git" {type} {key}',
    "ann@example.org valid-until=20270101 {type} {key}",
    "ann@example.org valid-before=2027-01-01 {type} {key}",
    'ann@example.org namespaces="file" {type} {key}',
    "{type} {key}",
    "<<<<<<< HEAD",
]


@pytest.mark.parametrize("line", GARBAGE)
def test_a_line_by_which_nobody_can_sign_is_named(
    folder: Path, ann: Author, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    kind, key = ann.public.split()
    bad = line.format(type=kind, key=key, half=key[:40])
    (folder / "trusted_signers").write_text(f"# who may\n{ann.line}\n{bad}\n")
    assert "inventories/prod/trusted_signers:3" in complaint(capsys)


@pytest.mark.parametrize("line", GARBAGE)
def test_ssh_keygen_lets_nobody_sign_by_such_a_line(ann: Author, tmp_path: Path, line: str) -> None:
    kind, key = ann.public.split()
    (tmp_path / "signers").write_text(line.format(type=kind, key=key, half=key[:40]) + "\n")
    (tmp_path / "text").write_text("x")
    run_program(["ssh-keygen", "-Y", "sign", "-n", "git", "-f", f"{ann.key}", f"{tmp_path}/text"], timeout_s=20)
    argv = ["ssh-keygen", "-Y", "verify", "-n", "git", "-I", "ann@example.org", "-f", f"{tmp_path}/signers"]
    done = run_program([*argv, "-s", f"{tmp_path}/text.sig"], timeout_s=20, input=b"x")
    assert not done.ok


def test_lines_by_which_somebody_can_sign_are_fine(ann: Author) -> None:
    lines = [
        ann.line,
        ann.line_with('valid-after="20200101",valid-before=20990101Z'),
        f"*@example.org {ann.public} Ann",
    ]
    lines += [ann.line_with('cert-authority,namespaces="file,git"'), "# a comment", "", ann.line_with('namespaces="*"')]
    assert list(mistakes("\n".join(lines).encode())) == []


@pytest.mark.parametrize(
    ("name", "content", "place", "what"),
    [
        ("web1.pub", "{key}\nrubbish\n", "web1.pub:2", "not an age recipient"),
        ("web1.pub", "# key\n\nrubbish\n", "web1.pub:3", "ssh-ed25519"),
        ("web1.pub", "", "web1.pub", "ssh-ed25519"),
        ("wbe1.pub", "{key}\n", "wbe1.pub", 'did you mean "web1"?'),
        ("db7.pub", "{key}\n", "db7.pub", "no host of this inventory"),
        ("web1.key", "{key}\n", "web1.key", "<host>.pub"),
    ],
)
def test_what_admits_nobody_is_named(
    folder: Path, ann: Author, capsys: pytest.CaptureFixture[str], name: str, content: str, place: str, what: str
) -> None:
    (folder / "identities" / name).write_text(content.format(key=ann.public))
    said = complaint(capsys)
    assert f"inventories/prod/identities/{place}" in said
    assert what in said


def test_the_identity_of_a_host_is_fine(folder: Path, ann: Author) -> None:
    (folder / "identities/web1.pub").write_text(f"# web1\n{ann.public}\n")
    (folder / "trusted_signers").write_text(f"{ann.line}\n")
    assert run(["check"]) == 0
