"""Host keys: what a real sshd shows against what known_hosts says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SourceError
from agent.system.remote import Remote
from agent.system.ssh import HostKey, HostKeyStatus, is_ssh, marked_keys, probe
from tests.gitserver import SshServer, author, free_port, silent_server, ssh_server

TIMEOUT_S = 20.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.touch()
    return path


def test_the_pinned_key_matches(sshd: SshServer) -> None:
    found = probe(sshd.url(Path("/x")), sshd.known_hosts, TIMEOUT_S)
    fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", sshd.host_key], capture_output=True, text=True, check=True)
    assert found.status is HostKeyStatus.MATCHES
    assert found.offered.fingerprint == fingerprint.stdout.split()[1]


def test_a_server_that_nobody_pinned_is_unknown_and_its_fingerprint_shown(sshd: SshServer, known_hosts: Path) -> None:
    found = probe(sshd.url(Path("/x")), known_hosts, TIMEOUT_S)
    assert found.status is HostKeyStatus.UNKNOWN
    assert found.offered.fingerprint in found.message


def test_another_key_than_the_pinned_one_differs_and_both_are_shown(
    sshd: SshServer, known_hosts: Path, tmp_path: Path
) -> None:
    other = author(tmp_path, "other")
    known_hosts.write_text(sshd.known_as(other.key))
    found = probe(sshd.url(Path("/x")), known_hosts, TIMEOUT_S)
    assert found.status is HostKeyStatus.DIFFERS
    assert found.offered.fingerprint in found.message
    assert other.fingerprint in found.message


def test_a_revoked_key_differs_even_if_it_is_pinned_as_well(sshd: SshServer, known_hosts: Path) -> None:
    line = sshd.known_as(sshd.host_key)
    known_hosts.write_text(f"{line}@revoked {line}")
    assert probe(sshd.url(Path("/x")), known_hosts, TIMEOUT_S).status is HostKeyStatus.DIFFERS


def test_a_key_of_a_kind_that_the_server_does_not_have_differs(
    sshd: SshServer, known_hosts: Path, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "ecdsa"], check=True)
    known_hosts.write_text(sshd.known_as(tmp_path / "ecdsa"))
    assert probe(sshd.url(Path("/x")), known_hosts, TIMEOUT_S).status is HostKeyStatus.DIFFERS


def test_names_hashed_by_ssh_keygen_are_found(sshd: SshServer, known_hosts: Path) -> None:
    known_hosts.write_text(sshd.known_as(sshd.host_key))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in known_hosts.read_text()
    assert probe(sshd.url(Path("/x")), known_hosts, TIMEOUT_S).status is HostKeyStatus.MATCHES


@pytest.mark.parametrize(
    ("line", "url", "found"),
    [
        ("git.example.org", "git@git.example.org:x.git", [""]),
        ("git.example.org", "ssh://git@GIT.example.org/x.git", [""]),
        ("git.example.org", "ssh://git@git.example.org:22/x.git", [""]),
        ("git.example.org", "ssh://git@git.example.org:2222/x.git", []),
        ("[git.example.org]:2222", "ssh://git@git.example.org:2222/x.git", [""]),
        ("*.example.org,!git.example.org", "git@git.example.org:x.git", []),
        ("@cert-authority *.example.org", "git@git.example.org:x.git", ["@cert-authority"]),
        ("@revoked git.example.org", "git@git.example.org:x.git", ["@revoked"]),
        ("#git.example.org", "git@git.example.org:x.git", []),
        ("|1|not base64|x", "git@git.example.org:x.git", []),
    ],
)
def test_a_server_is_found_by_its_name_as_ssh_matches_it(
    known_hosts: Path, line: str, url: str, found: list[str]
) -> None:
    known_hosts.write_text(f"{line} {KEY}\n")
    kind, key = KEY.split()
    assert marked_keys(known_hosts, Remote.parse(url)) == tuple((marker, HostKey(kind, key)) for marker in found)


def test_nothing_is_found_where_there_is_no_file(tmp_path: Path) -> None:
    assert marked_keys(tmp_path / "none", Remote.parse("git@git.example.org:x.git")) == ()


def test_a_server_that_never_answers_times_out(known_hosts: Path) -> None:
    with silent_server() as port, pytest.raises(SourceError) as refused:
        probe(f"ssh://127.0.0.1:{port}/x", known_hosts, 0.5)
    assert refused.value.kind == "timeout"


def test_a_server_that_is_down_is_unreachable(known_hosts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError) as refused:
        probe(f"ssh://127.0.0.1:{free_port()}/x", known_hosts, TIMEOUT_S)
    assert refused.value.kind == "source-unreachable"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("url", "expected"), [("git@h:x", True), ("ssh://h/x", True), ("https://h/x", False), ("http://h/x", False)]
)
def test_remotes_reached_by_ssh_are_known_as_such(url: str, expected: bool) -> None:
    assert is_ssh(url) is expected
