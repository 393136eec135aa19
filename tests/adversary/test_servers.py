"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: what a Git server does, or somebody in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.paths import Paths
from agent.system.git_command import Access
from tests.adversary.victim import Victim, following, motd
from tests.gitserver import Author, SshServer, author, http_server, ssh_server


class attacked_by_server:  # noqa: N801 - reads as a statement
    """The remote cannot be used: the host stays on what it had, goes on repairing itself, and says why."""

    def __init__(self, host: Victim, kind: str) -> None:
        self._host, self._kind, self._last = host, kind, host.last

    def __enter__(self) -> None:
        pass

    def __exit__(self, failed: object, *_: object) -> None:
        for _ in range(0 if failed else 2):
            self._host.engine.drifted = True
            report = self._host.cycle()
            assert [problem.kind for problem in report.problems] == [self._kind]
            assert (self._host.last, self._host.engine.applied[-1]) == (self._last, self._last)


def remote_victim(host: Victim, folder: Path, remote: str, access: Access, anchor: Author) -> Victim:
    """Another host, which reaches the same repository by another way."""
    paths = Paths(folder / "bystander")
    paths.var.mkdir(parents=True, mode=0o700)
    paths.etc.mkdir(parents=True)
    paths.trusted_signers.write_text(f"{anchor.line}\n")
    return following(host.repo, paths, remote, access)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "sshd") as server:
        yield server


def test_a_poisoned_known_hosts(host: Victim, sshd: SshServer, tmp_path: Path, ann: Author) -> None:
    """The key of somebody else: refused as changed, nothing is learned, the host stays on what it had."""
    bystander = remote_victim(host, tmp_path, sshd.url(host.repo.path), Access(sshd.known_hosts, sshd.client_key), ann)
    assert bystander.cycle().problems == ()
    poison = sshd.known_as(author(tmp_path, "other").key)
    sshd.known_hosts.write_text(poison)
    with attacked_by_server(bystander, "host-key-mismatch"):
        bystander.repo.commit("New", motd("new"), by=ann)
    assert sshd.known_hosts.read_text() == poison


def test_a_server_that_nobody_introduced(host: Victim, sshd: SshServer, tmp_path: Path, ann: Author) -> None:
    bystander = remote_victim(host, tmp_path, sshd.url(host.repo.path), Access(sshd.known_hosts, sshd.client_key), ann)
    bystander.cycle()
    sshd.known_hosts.write_text("")
    with attacked_by_server(bystander, "host-key-unknown"):
        bystander.repo.commit("New", motd("new"), by=ann)
    assert sshd.known_hosts.read_text() == ""


def test_a_server_that_asks_for_a_password(host: Victim, tmp_path: Path, ann: Author) -> None:
    """Nobody is asked, and what answers is not waited for."""
    host.repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv", password="ann:word") as server:
        bystander = remote_victim(host, tmp_path, server.url("config.git", "ann:word"), Access(None, None), ann)
        assert bystander.cycle().problems == ()
        bystander.parts = following(
            host.repo, bystander.parts.paths, server.url("config.git"), Access(None, None)
        ).parts
        bystander.reporter = bystander.parts.reporter  # type: ignore[assignment]
        bystander.engine = bystander.parts.engine  # type: ignore[assignment]
        with attacked_by_server(bystander, "auth-refused"):
            pass
