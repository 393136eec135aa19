"""A key that ssh cannot load: the person is told that, and not to give it access. Real keys, real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import Consequence, SourceError
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from agent.system.openssh import unusable
from tests.gitserver import ConfigRepo, SshServer, author, ssh_server


def without_last_newline(key: Path) -> None:
    key.write_bytes(key.read_bytes().rstrip(b"\n"))


def with_windows_line_ends(key: Path) -> None:
    key.write_bytes(key.read_bytes().replace(b"\n", b"\r\n"))


def with_a_passphrase(key: Path) -> None:
    argv = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", f"{key}"]
    subprocess.run(argv, check=True, capture_output=True, timeout=20)


def the_public_half(key: Path) -> None:
    key.write_bytes(key.with_suffix(".pub").read_bytes())


def cut_off(key: Path) -> None:
    key.write_bytes(key.read_bytes()[:200] + b"\n")


def empty(key: Path) -> None:
    key.write_bytes(b"")


SPOILT = {
    without_last_newline: ("lacks the end of its last line", "echo >> "),
    with_windows_line_ends: ("has the line ends of Windows", "sed -i 's/\\r$//' "),
    with_a_passphrase: ("has a passphrase, which nobody can type", "ssh-keygen -p -f "),
    the_public_half: ("is the public half of a key", "does not end in .pub"),
    cut_off: ("cannot be loaded by ssh (", "copy the whole file"),
    empty: ("is empty", "put the private key there"),
}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_with_a_key_reaches_the_person(
    repo: ConfigRepo, sshd: SshServer, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    key = author(tmp_path / "keys", "deploy_key").key
    with sshd.authorized_keys.open("a") as known:
        known.write(key.with_suffix(".pub").read_text())
    assert Mirror(tmp_path / "good.git", Access(sshd.known_hosts, key)).tip(sshd.url(repo.path), "main") == repo.head
    spoil(key)
    key.with_suffix(".pub").unlink()
    with pytest.raises(SourceError) as refused:
        Mirror(tmp_path / "bad.git", Access(sshd.known_hosts, key)).tip(sshd.url(repo.path), "main")
    why, remedy = SPOILT[spoil]
    assert f"the key {key} {why}" in refused.value.message
    assert remedy in refused.value.hint
    assert (refused.value.kind, refused.value.consequence) == ("key-unusable", Consequence.STALL)


@pytest.mark.parametrize("spoil", [without_last_newline, with_windows_line_ends])
def test_the_remedy_helps(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    key = author(tmp_path / "keys", "deploy_key").key
    spoil(key)
    wrong = unusable(key)
    assert wrong is not None
    subprocess.run(["sh", "-c", wrong.remedy], check=True, timeout=20)
    assert unusable(key) is None


def test_a_good_key_that_the_server_does_not_know_needs_access(
    repo: ConfigRepo, sshd: SshServer, tmp_path: Path
) -> None:
    key = author(tmp_path / "keys", "deploy_key").key
    with pytest.raises(SourceError) as refused:
        Mirror(tmp_path / "bad.git", Access(sshd.known_hosts, key)).tip(sshd.url(repo.path), "main")
    assert refused.value.kind == "auth-refused"
    assert "read access" in refused.value.hint
