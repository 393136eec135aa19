"""What git and ssh make of the environment that they get: the real programs are asked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.system.git_command import Access, local_environment, network_environment
from agent.system.process import Completed, run
from agent.system.remote import Remote

REMOTE = Remote.parse("git@git.example.org:config.git")


def git(environment: Mapping[str, str], *arguments: str) -> Completed:
    return run(["git", *arguments], timeout_s=20, env=environment)


def key_in(folder: Path) -> Path:
    key = folder / "deploy_key"
    key.touch(0o600)
    return key


def ssh_options(access: Access, *, often: bool = False, **more: str) -> dict[str, str]:
    """The settings with which ssh would connect, as it prints them; without a key by no configuration either."""
    environment = network_environment(access, REMOTE, often=often)
    argv = shlex.split(environment["GIT_SSH_COMMAND"])
    mine = () if access.deploy_key is not None else ("-F", "none")
    shown = run([*argv, *mine, "-G", "git.example.org"], timeout_s=20, env={**environment, **more})
    assert shown.ok, shown.error
    return dict(line.split(" ", 1) for line in shown.output.decode().splitlines() if " " in line)


def test_the_question_of_each_minute_prefers_a_cheap_key_exchange_and_leaves_none_out(tmp_path: Path) -> None:
    access = Access(None, key_in(tmp_path))
    all_of_them, often = ssh_options(access), ssh_options(access, often=True)
    preferred = often.pop("kexalgorithms").split(",")
    assert preferred[0] == "ecdh-sha2-nistp256"
    assert sorted(preferred) == sorted(all_of_them.pop("kexalgorithms").split(","))
    assert often == all_of_them


def test_who_goes_by_a_configuration_of_their_own_keeps_its_key_exchange() -> None:
    assert ssh_options(Access(None, None), often=True) == ssh_options(Access(None, None))


@pytest.mark.parametrize("url", ["ext::touch x", "fd::17", "git://127.0.0.1:1/x", "ftp://127.0.0.1:1/x"])
def test_git_itself_would_refuse_other_transports(url: str) -> None:
    done = git(local_environment(), "ls-remote", url)
    assert b"not allowed" in done.error


def test_configuration_of_the_machine_and_the_person_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Somebody\n[alias]\n\tx = !touch pwned\n")
    monkeypatch.setenv("HOME", f"{tmp_path}")
    listed = git(local_environment(), "config", "--list", "--show-scope")
    scopes = {line.split(b"\t")[0] for line in listed.output.splitlines()}
    assert scopes == {b"command"}


def test_ssh_asks_nobody_and_believes_only_our_known_hosts(tmp_path: Path) -> None:
    options = ssh_options(Access(tmp_path / "known_hosts", key_in(tmp_path), timeout_s=7))
    assert options["batchmode"] == "yes"
    assert options["stricthostkeychecking"] == "true"
    assert options["userknownhostsfile"] == f"{tmp_path}/known_hosts"
    assert options["globalknownhostsfile"] == "none"
    assert options["identityfile"] == f"{tmp_path}/deploy_key"
    assert options["identitiesonly"] == "yes"
    assert options["identityagent"] == "none"
    assert options["connecttimeout"] == "7"
    assert options["forwardagent"] == "no"
    assert options["updatehostkeys"] == "false"


def test_without_a_deploy_key_root_s_own_ssh_configuration_counts() -> None:
    options = ssh_options(Access(None, None))
    assert options["identitiesonly"] == "no"
    assert options["stricthostkeychecking"] == "true"


def test_with_a_deploy_key_no_configuration_can_bend_the_way_to_the_remote(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  ProxyCommand touch pwned\n  HostKeyAlias other\n")
    options = ssh_options(Access(tmp_path / "known_hosts", key_in(tmp_path)), HOME=f"{tmp_path}")
    assert "proxycommand" not in options
    assert "hostkeyalias" not in options
    assert options.get("knownhostscommand", "none") == "none"


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    key = key_in(tmp_path)
    key.chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others"):
        network_environment(Access(None, key), REMOTE)


def test_a_key_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(key_in(tmp_path))
    with pytest.raises(SettingsError, match="a symbolic link"):
        network_environment(Access(None, tmp_path / "link"), REMOTE)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be used: No such file"):
        network_environment(Access(None, tmp_path / "gone"), REMOTE)


def test_keys_of_an_agent_are_offered_only_where_there_is_no_deploy_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    assert network_environment(Access(None, None), REMOTE)["SSH_AUTH_SOCK"] == "/run/agent"
    assert "SSH_AUTH_SOCK" not in network_environment(Access(None, key_in(tmp_path)), REMOTE)


def test_blanks_quotes_and_percent_signs_in_a_path_are_just_characters() -> None:
    known_hosts = Path("/a b/%h/it's/known_hosts")
    command = shlex.split(network_environment(Access(known_hosts, None), REMOTE)["GIT_SSH_COMMAND"])
    assert '-oUserKnownHostsFile="/a b/%%h/it\'s/known_hosts"' in command
    assert ssh_options(Access(known_hosts, None))["userknownhostsfile"].count("known_hosts") == 1


def test_authority_and_proxy_reach_git() -> None:
    access = Access(None, None, ca=Path("/etc/ca.pem"), proxy="http://proxy.example.org:3128")
    environment = network_environment(access, Remote.parse("https://ann:word@git.example.org/x.git"))
    listed = git(environment, "config", "--list").output.decode()
    assert "http.sslcainfo=/etc/ca.pem\n" in listed
    assert "http.proxy=http://proxy.example.org:3128\n" in listed
    assert "http.extraheader=Authorization: Basic " in listed
