"""Logging in to hosts as a person's own ssh does, with a real sshd: whose key is believed, and by which way."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SourceError, UsageError
from agent.system.ssh_host import Login, logged_in
from tests.gitserver import SshServer, author, free_port, ssh_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def config(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's ssh_config, in which `box` is the server, whose key is known."""
    monkeypatch.setenv("HOME", f"{tmp_path}")
    config = tmp_path / ".ssh/config"
    config.parent.mkdir()
    config.write_text(
        f"Host box far\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n  IdentityFile {server.client_key}\n"
        f"Host *\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    return config


def refused(login: Login) -> str:
    with pytest.raises(SourceError) as error, logged_in(login):
        pass
    return error.value.kind


def test_a_program_runs_there_with_its_input_its_output_and_its_exit_code(config: Path) -> None:
    heard: list[str] = []
    with logged_in(Login.parse("box")) as there:
        done = there.run(["sh", "-c", "cat; echo 'a b' >&2; exit 7"], input=b"x" * 200_000, on_line=heard.append)
    assert (done.code, len(done.output), done.complaint, heard) == (7, 200_000, "a b", ["a b"])


def test_what_is_run_is_no_shell_s_to_read(config: Path) -> None:
    with logged_in(Login.parse("box")) as there:
        assert there.run(["printf", "%s", "$(id) `id` ; 'x'"]).output == b"$(id) `id` ; 'x'"


def test_a_host_that_known_hosts_does_not_mention_is_refused(config: Path, server: SshServer) -> None:
    config.write_text(config.read_text().replace(f"{server.known_hosts}", "/dev/null"))
    assert refused(Login.parse("box")) == "host-key-unknown"


def test_the_fingerprint_that_a_person_knows_will_do(config: Path, server: SshServer) -> None:
    config.write_text(config.read_text().replace(f"{server.known_hosts}", "/dev/null"))
    right = author(server.host_key.parent / "copy", "x")
    right.key.with_suffix(".pub").write_text(server.host_key.with_suffix(".pub").read_text())
    with logged_in(Login.parse("box", right.fingerprint)) as there:
        assert there.run(["true"]).code == 0
    assert refused(Login.parse("box", f"SHA256:{'A' * 43}")) == "host-key-mismatch"


def test_another_key_than_known_hosts_has_is_refused_whatever_the_fingerprint(
    config: Path, server: SshServer, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_text(server.known_as(author(tmp_path, "other").key))
    config.write_text(config.read_text().replace(f"{server.known_hosts}", f"{known}"))
    assert refused(Login.parse("box")) == "host-key-mismatch"


def test_a_revoked_key_is_refused(config: Path, server: SshServer, tmp_path: Path) -> None:
    known = tmp_path / "known"
    line = server.known_as(server.host_key)
    known.write_text(f"{line}@revoked {line}")
    config.write_text(config.read_text().replace(f"{server.known_hosts}", f"{known}"))
    assert refused(Login.parse("box")) == "host-key-mismatch"


def test_a_key_that_the_host_does_not_know_is_refused(config: Path, server: SshServer, tmp_path: Path) -> None:
    stranger = author(tmp_path, "stranger").key
    config.write_text(config.read_text().replace(f"{server.client_key}", f"{stranger}"))
    assert refused(Login.parse("box")) == "auth-refused"


def test_jump_hosts_of_ssh_config_are_gone_through(config: Path) -> None:
    config.write_text(f"Host far\n  ProxyJump box\n{config.read_text()}")
    with logged_in(Login.parse("far")) as there:
        assert there.run(["echo", "hi"]).output == b"hi\n"


def test_jump_hosts_in_a_circle_are_no_endless_way(config: Path) -> None:
    config.write_text(f"Host far\n  ProxyJump far\n{config.read_text()}")
    with pytest.raises(UsageError), logged_in(Login.parse("far")):
        pass


def test_where_nobody_listens_is_told(config: Path) -> None:
    assert refused(Login.parse(f"root@127.0.0.1:{free_port()}")) == "source-unreachable"


@pytest.mark.parametrize(
    "text", ["", "[::1", "[::1]22", "[]:22", "[::1]:x", "-oProxyCommand=x", "a b", "@x", "x:99999", "x:y", "u@", "x\ny"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Login.parse(text)


@pytest.mark.parametrize(
    "line",
    [
        "Port abc",
        "Port 99999",
        "ConnectTimeout soon",
        "ProxyCommand nc 'x",
        "CanonicalizeHostname yes",
        "Match exec",
        "nonsense",
        "Include config",
    ],
)
def test_what_ssh_config_cannot_mean_is_told(config: Path, line: str) -> None:
    config.write_text(f"Host box\n  {line}\n{config.read_text()}")
    with pytest.raises(UsageError, match="ssh_config"), logged_in(Login.parse("box")):
        pass


@pytest.mark.parametrize("line", ["ConnectTimeout none", "ProxyCommand none"])
def test_none_in_ssh_config_is_what_goes_without_saying(config: Path, line: str) -> None:
    config.write_text(f"Host box\n  {line}\n{config.read_text()}")
    with logged_in(Login.parse("box")) as there:
        assert there.run(["true"]).code == 0


def test_a_proxy_that_fails_is_told_without_a_word_of_paramiko_s(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(log)])
    config.write_text(f"Host box\n  ProxyCommand false\n{config.read_text()}")
    assert refused(Login.parse("box")) == "source-unreachable"
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("ann@[::1]:22", Login("::1", "ann", 22)),
        ("[::1]", Login("::1")),
        ("::1", Login("::1")),
        ("a.example:2222", Login("a.example", None, 2222)),
    ],
)
def test_an_address_in_brackets_may_have_a_port(text: str, login: Login) -> None:
    assert Login.parse(text) == login
