"""Host keys come from files that a person trusts; a server is never asked for its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.domain.one_time_code import OneTimeCode
from agent.errors import Exit, SettingsError
from agent.host import anchors
from agent.system.remote import Remote

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHm1T6hV5o0i2oqZ0bC4Qp4mKXlq0F4rGDWn1mQ9T2bX"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(f"git.example {KEY}\n[git.example]:2222 {KEY} other\nelse.example {KEY}\n")
    return path


def test_only_the_lines_of_the_remotes_server_are_taken(known: Path) -> None:
    remote = Remote.parse("git@git.example:config.git")
    assert anchors.host_keys([remote], [known]) == f"git.example {KEY}\n".encode()


def test_another_port_is_another_server(known: Path) -> None:
    remote = Remote.parse("ssh://git@git.example:2222/config.git")
    assert anchors.host_keys([remote], [known]) == f"[git.example]:2222 {KEY} other\n".encode()


def test_hashed_names_are_found(known: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], capture_output=True, timeout=30, check=True)
    line = anchors.host_keys([Remote.parse("git@git.example:c.git")], [known]).decode()
    assert line.startswith("|1|")
    assert line.count("\n") == 1


def test_two_remotes_on_one_server_need_one_line(known: Path) -> None:
    remotes = [Remote.parse("git@git.example:config.git"), Remote.parse("ssh://git@git.example/status.git")]
    assert anchors.host_keys(remotes, [known]).count(b"\n") == 1


def test_the_first_file_that_knows_the_server_counts(known: Path, tmp_path: Path) -> None:
    pinned = tmp_path / "pinned"
    pinned.write_text(f"git.example {KEY} pinned\n")
    remote = Remote.parse("git@git.example:config.git")
    assert anchors.host_keys([remote], [tmp_path / "none", pinned, known]) == f"git.example {KEY} pinned\n".encode()


def test_an_unknown_server_is_a_matter_of_trust(known: Path) -> None:
    with pytest.raises(SettingsError, match=r"no host key of new\.example") as caught:
        anchors.host_keys([Remote.parse("git@new.example:c.git")], [known])
    assert caught.value.exit is Exit.TRUST
    assert "--known-hosts" in caught.value.hint


def test_http_and_files_need_no_host_key(tmp_path: Path) -> None:
    remotes = [Remote.parse("https://git.example/c.git"), Remote.parse(f"{tmp_path}")]
    assert anchors.host_keys(remotes, []) == b""


def test_a_given_file_of_the_wrong_kind_is_refused(known: Path) -> None:
    with pytest.raises(SettingsError, match="does not hold certificates"):
        anchors.read_given(known, b"-----BEGIN CERTIFICATE-----", "certificates")
    with pytest.raises(SettingsError, match="cannot be read"):
        anchors.read_given(Path("/no/such"), b"", "certificates")


def test_a_code_is_taken_from_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    code, file = OneTimeCode.new(), tmp_path / "code"
    file.write_text(f"{code.text}\n")
    file.chmod(0o600)
    assert anchors.read_code(file) == code
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others"):
        anchors.read_code(file)
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(SettingsError, match="is a symbolic link"):
        anchors.read_code(link)


def test_a_file_without_a_code_is_told(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.touch(mode=0o600)
    with pytest.raises(SettingsError, match="no code of the form"):
        anchors.read_code(file)
