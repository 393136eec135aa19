"""What doctor finds on a host in a temporary folder: each weakening by its name, and nothing on one that is well."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.commands.doctor import findings_of
from agent.cli.doctor import files, host, remotes, units
from agent.cli.doctor.finding import Finding, Installation, Verdict
from agent.domain.commit import TrustMode
from agent.domain.memory import FleetSettings, State, TrustRecord, Webhook
from agent.errors import SourceError
from agent.host import installation
from agent.host.identity import Identity
from agent.host.paths import Paths
from agent.host.settings import Settings, render
from agent.host.state import Memory
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo, HttpServer, author, http_server, ssh_server

FAILED, WARNING = Verdict.FAILED, Verdict.WARNING


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(remote=f"{tmp_path / 'served/config.git'}", inventory="lab", host="web1")


@pytest.fixture
def paths(tmp_path: Path, settings: Settings) -> Paths:
    """A host that is well."""
    paths = Paths(tmp_path / "root")
    for folder in (paths.etc, paths.opt, paths.run):
        folder.mkdir(parents=True, mode=0o755)
    for folder in (paths.var, paths.rescue):
        folder.mkdir(parents=True, mode=0o700)
    paths.settings.write_bytes(render(settings))
    for key in (paths.settings, paths.deploy_key, paths.status_key):
        key.touch()
        key.chmod(0o600)
    for shown in (paths.trusted_signers, paths.known_hosts):
        shown.write_text("x\n")
        shown.chmod(0o644)
    Identity.ensure(paths.identity, settings.host)
    return paths


def found(findings: Iterator[Finding]) -> list[tuple[Verdict, str]]:
    """What is wrong."""
    return [(each.verdict, each.message) for each in findings if each.verdict is not Verdict.OK]


def test_on_a_host_that_is_well_nobody_else_can_read_or_write(paths: Paths, settings: Settings) -> None:
    assert found(files.permissions(Installation(paths, settings))) == []


@pytest.mark.parametrize(
    ("weaken", "told"),
    [
        (lambda paths: paths.settings.chmod(0o640), "agent.yaml can be read or written by others (mode 0640)"),
        (lambda paths: paths.deploy_key.chmod(0o604), "deploy_key can be read or written by others"),
        (lambda paths: paths.status_key.chmod(0o660), "status_key can be read or written by others"),
        (lambda paths: (paths.identity / "ssh_ed25519").chmod(0o644), "ssh_ed25519 can be read or written by others"),
        (lambda paths: paths.identity.chmod(0o755), "identity can be entered by others"),
        (lambda paths: paths.var.chmod(0o755), "hostwright can be entered by others"),
        (lambda paths: paths.rescue.chmod(0o750), "rescue can be entered by others"),
        (lambda paths: paths.known_hosts.chmod(0o664), "known_hosts can be written by others"),
        (lambda paths: paths.trusted_signers.chmod(0o646), "trusted_signers can be written by others"),
        (lambda paths: paths.opt.chmod(0o777), "hostwright can be written to by others"),
        (lambda paths: paths.etc.chmod(0o775), "hostwright can be written to by others"),
        (
            lambda paths: (paths.deploy_key.unlink(), paths.deploy_key.symlink_to("/dev/null")),
            "deploy_key is a symbolic link",
        ),
    ],
)
def test_what_others_could_read_or_write_is_named(
    paths: Paths, settings: Settings, weaken: Callable[[Paths], object], told: str
) -> None:
    weaken(paths)
    ((verdict, message),) = found(files.permissions(Installation(paths, settings)))
    assert verdict is FAILED
    assert told in message


def test_all_of_it_is_named_at_once(paths: Paths, settings: Settings) -> None:
    for path in (paths.settings, paths.deploy_key, paths.known_hosts):
        path.chmod(0o666)
    assert len(found(files.permissions(Installation(paths, settings)))) == 3


def test_a_secret_of_a_webhook_is_looked_at_where_it_lies(paths: Paths, settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    Memory(paths).keep_state(State(fleet=FleetSettings(webhook=Webhook("127.0.0.1", 9443, f"{secret}"))))
    assert [verdict for verdict, _ in found(files.permissions(Installation(paths, settings)))] == [FAILED]


@pytest.mark.parametrize(("mode", "wrong"), [(0o600, []), (0o666, [FAILED]), (0o660, [FAILED])])
def test_a_control_socket_that_others_may_use_is_named(
    paths: Paths, settings: Settings, mode: int, wrong: list[Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(paths.run)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(paths.control.name)
        paths.control.chmod(mode)
        assert [verdict for verdict, _ in found(files.control_socket(Installation(paths, settings)))] == wrong


@pytest.fixture
def fetched(paths: Paths, settings: Settings, tmp_path: Path) -> Iterator[tuple[ConfigRepo, HttpServer]]:
    """A config repo behind a server that lets everybody push, fetched and trusted."""
    config = ConfigRepo(tmp_path / "config")
    (tmp_path / "served").mkdir()
    config.commit("Begin", {"README": "x"})
    config.bare(tmp_path / "served/config.git")
    mirror = Mirror(paths.mirror, Access(None, None))
    mirror.keep(mirror.fetch(settings.remote, "main").sha)
    mirror.close()
    Memory(paths).keep_trust(TrustRecord(config.head))
    with http_server(tmp_path / "served") as server:
        yield config, server


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize(
    "line", ["[core]\n\tsshCommand = x\n", '[url "x"]\n\tinsteadOf = y\n', "[http]\n\tsslVerify=no\n"]
)
def test_a_mirror_that_was_configured_otherwise_is_named(paths: Paths, settings: Settings, line: str) -> None:
    assert found(files.git(Installation(paths, settings))) == []
    with (paths.mirror / "config").open("a") as config:
        config.write(line)
    assert [verdict for verdict, _ in found(files.git(Installation(paths, settings)))] == [FAILED]


@pytest.mark.usefixtures("fetched")
def test_hooks_in_the_mirror_are_named_though_they_are_not_run(paths: Paths, settings: Settings) -> None:
    (paths.mirror / "hooks").mkdir(exist_ok=True)
    (paths.mirror / "hooks/post-checkout").write_text("#!/bin/sh\n")
    assert [verdict for verdict, _ in found(files.git(Installation(paths, settings)))] == [WARNING]


def test_reports_to_the_config_repo_are_a_weakness(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer], tmp_path: Path
) -> None:
    _, server = fetched
    same = replace(settings, remote=server.url("config.git"))
    ((verdict, message),) = found(remotes.reports(Installation(paths, same)))
    assert (verdict, "write to it" in message) == (WARNING, True)
    ConfigRepo(tmp_path / "other").bare(tmp_path / "served/status.git")
    assert found(remotes.reports(Installation(paths, replace(same, status_remote=server.url("status.git"))))) == []


def test_a_place_for_reports_that_is_not_there_is_named(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer]
) -> None:
    _, server = fetched
    with pytest.raises(SourceError):
        list(remotes.reports(Installation(paths, replace(settings, status_remote=server.url("nowhere.git")))))


def test_a_key_that_could_write_to_the_config_repo_is_named(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer], tmp_path: Path
) -> None:
    config, server = fetched
    apart = replace(settings, remote=server.url("config.git"), status_remote=server.url("status.git"))
    paths.status_key.unlink()
    ((verdict, message),) = found(remotes.keys(Installation(paths, apart)))
    assert (verdict, "can write to the config repository" in message) == (WARNING, True)
    assert "doctor" not in config.git("ls-remote", f"{tmp_path / 'served/config.git'}")
    with http_server(tmp_path / "served", read_only=True) as reading:
        assert found(remotes.keys(Installation(paths, replace(apart, remote=reading.url("config.git"))))) == []


def test_a_remote_without_encryption_is_a_weakness(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer]
) -> None:
    _, server = fetched
    assert [
        verdict
        for verdict, _ in found(remotes.remote(Installation(paths, replace(settings, remote=server.url("config.git")))))
    ]
    assert found(remotes.remote(Installation(paths, settings))) == []


def test_commits_that_nobody_verifies_are_a_weakness(paths: Paths, settings: Settings) -> None:
    assert [
        verdict for verdict, _ in found(host.trust(Installation(paths, replace(settings, trust=TrustMode.UNSIGNED))))
    ] == [WARNING]
    assert found(host.trust(Installation(paths, settings))) == []
    paths.trusted_signers.unlink()
    assert [verdict for verdict, _ in found(host.trust(Installation(paths, settings)))] == [FAILED]


def written(paths: Paths) -> Path:
    installation.write_units(paths)
    return installation.units_folder(paths)


def test_units_as_they_were_written_are_well(paths: Paths, settings: Settings) -> None:
    written(paths)
    assert found(units.as_written(Installation(paths, settings))) == []


@pytest.mark.parametrize("name", installation.UNITS)
def test_a_unit_that_was_changed_masked_or_taken_away_is_named(paths: Paths, settings: Settings, name: str) -> None:
    unit = written(paths) / name
    unit.write_text(unit.read_text() + "# by hand\n")
    assert [verdict for verdict, _ in found(units.as_written(Installation(paths, settings)))] == [FAILED]
    unit.unlink()
    if name != "hostwright.service":  # without that one, none counts as installed
        assert [verdict for verdict, _ in found(units.as_written(Installation(paths, settings)))] == [FAILED]
    unit.symlink_to("/dev/null")
    assert any("masked" in message for _, message in found(units.as_written(Installation(paths, settings))))


def test_a_drop_in_is_named(paths: Paths, settings: Settings) -> None:
    folder = written(paths) / "hostwright.service.d"
    folder.mkdir()
    (folder / "mine.conf").write_text("[Service]\nProtectSystem=no\n")
    ((verdict, message),) = found(units.as_written(Installation(paths, settings)))
    assert (verdict, "mine.conf" in message) == (WARNING, True)


def test_a_webhook_for_the_whole_network_is_a_weakness_once_it_runs(
    paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Memory(paths).keep_state(State(fleet=FleetSettings(webhook=Webhook("0.0.0.0", 9443, "/etc/s"))))
    monkeypatch.setattr("agent.system.systemd.is_active", lambda _: True)
    ((verdict, message),) = found(units.webhook(Installation(paths, settings)))
    assert (verdict, "without encryption" in message) == (WARNING, True)


def test_an_agent_that_could_not_be_built_again_is_named(paths: Paths, settings: Settings) -> None:
    assert [verdict for verdict, _ in found(units.rescue(Installation(paths, settings)))] == [WARNING]


@pytest.mark.parametrize(("phase", "weak"), [("rolled-back", True), ("inconclusive", True), ("converged", False)])
def test_a_host_that_went_back_behind_the_newest_commit_is_named(
    paths: Paths, settings: Settings, phase: str, weak: bool
) -> None:
    Memory(paths).keep_state(State(cycles=9, phase=phase))
    assert found(host.last_cycle(Installation(paths, settings))) == ([(WARNING, phase)] if weak else [])


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(paths: Paths, settings: Settings) -> None:
    paths.document("state").write_text("no JSON")
    told = list(findings_of(paths))
    assert {name for name, finding in told if finding.verdict is FAILED} >= {"permissions", "last cycle"}
    assert any(name == "disk" for name, _ in told)


def test_a_server_that_does_not_answer_is_not_taken_for_one_that_refuses(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer]
) -> None:
    _, server = fetched
    away = replace(settings, remote="http://127.0.0.1:9/config.git", status_remote=server.url("status.git"))
    with pytest.raises(SourceError):
        list(remotes.keys(Installation(paths, away)))


@pytest.mark.parametrize("words", ["ERROR: Repository not found.", "Nein.", "Access denied", ""])
def test_a_status_key_that_the_config_repo_knows_nothing_of_is_as_it_should_be(
    paths: Paths, settings: Settings, fetched: tuple[ConfigRepo, HttpServer], tmp_path: Path, words: str
) -> None:
    """Servers have many words for it; the deploy key is let in, so the server is there."""
    assert fetched[0].head
    with ssh_server(tmp_path / "sshd") as sshd:
        stranger = author(tmp_path / "sshd", "stranger").key
        public = stranger.with_suffix(".pub").read_text()
        with sshd.authorized_keys.open("a") as known:
            known.write(f'command="echo {words} >&2; exit 1" {public}')
        shutil.copy(sshd.known_hosts, paths.known_hosts)
        shutil.copy(sshd.client_key, paths.deploy_key)
        shutil.copy(stranger, paths.status_key)
        served = sshd.url(tmp_path / "served/config.git")
        apart = replace(settings, remote=served, status_remote=sshd.url(tmp_path / "served/status.git"))
        ((verdict, message),) = found(remotes.keys(Installation(paths, apart)))
    assert verdict == WARNING, "of the other key, which may write there in this test"
    assert message == f"{paths.deploy_key} can write to the config repository"


def test_a_program_of_the_agent_that_somebody_else_could_change_is_named(paths: Paths, settings: Settings) -> None:
    program = paths.versions / "1.0/lib/agent.py"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o646)
    ((verdict, message),) = found(files.permissions(Installation(paths, settings)))
    assert (verdict, f"{program} can be written to by others" in message) == (FAILED, True)
