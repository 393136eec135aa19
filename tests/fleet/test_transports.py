"""The same reports through the transports that fleets use, with the environment that hosts give to git."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from agent.domain.status import report_path
from agent.errors import ReportError
from agent.fleet.writer import StatusBranch
from agent.system.git_command import Access
from agent.system.remote import Remote
from tests.fleet.samples import DEADLINE_S, bare, history, paths, signed
from tests.fleet.test_writer import render
from tests.gitserver import SshServer, author, free_port, http_server, ssh_server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def over(folder: Path, url: str, access: Access, cache: str = "cache") -> StatusBranch:
    return StatusBranch(folder / cache, Remote.parse(url), access)


def publish_one(folder: Path, url: str, access: Access, host: str) -> None:
    over(folder, url, access, f"cache-{host}").publish([signed(folder, host)], render=render, deadline_s=DEADLINE_S)


def test_five_hosts_report_over_ssh_at_once_and_every_report_arrives(tmp_path: Path, sshd: SshServer) -> None:
    remote, access = bare(tmp_path / "r.git"), Access(sshd.known_hosts, sshd.client_key)
    hosts = [f"web{number}" for number in range(5)]
    with ProcessPoolExecutor(5, mp_context=multiprocessing.get_context("fork")) as pool:
        runs = [pool.submit(publish_one, tmp_path, sshd.url(remote), access, host) for host in hosts]
        for run in runs:
            run.result(timeout=2 * DEADLINE_S)
    assert sorted(history(remote)) == [f"{host}: converged" for host in hosts]
    assert set(map(report_path, hosts)) < set(paths(remote))


def test_reports_go_over_http_with_a_password(tmp_path: Path) -> None:
    remote = bare(tmp_path / "served/r.git")
    with http_server(tmp_path / "served", password="web1:word") as server:
        status = over(tmp_path, server.url("r.git", "web1:word"), Access(None, None))
        for number in (1, 2):
            status.publish([signed(tmp_path, sequence=number)], render=render, deadline_s=DEADLINE_S)
        assert len(status.read(DEADLINE_S)) == 1
    assert history(remote) == ["web1: converged"] * 2


def test_a_wrong_password_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    bare(tmp_path / "served/r.git")
    with http_server(tmp_path / "served", password="web1:word") as server:
        error = refused(tmp_path, over(tmp_path, server.url("r.git", "web1:guess"), Access(None, None)))
    assert error.kind == "status-refused"
    assert "write to the status repository" in error.hint
    assert "guess" not in f"{error.message}{error.hint}"


def test_a_key_that_the_server_does_not_know_is_an_error_that_says_what_to_do(tmp_path: Path, sshd: SshServer) -> None:
    stranger = author(tmp_path / "keys", "stranger")
    url = sshd.url(bare(tmp_path / "r.git"))
    error = refused(tmp_path, over(tmp_path, url, Access(sshd.known_hosts, stranger.key)))
    assert error.kind == "status-refused"
    assert "write to the status repository" in error.hint


def test_a_server_that_is_not_the_known_one_gets_no_report(tmp_path: Path, sshd: SshServer) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(sshd.known_as(author(tmp_path / "keys", "another").key))
    remote = bare(tmp_path / "r.git")
    error = refused(tmp_path, over(tmp_path, sshd.url(remote), Access(known, sshd.client_key)))
    assert error.kind == "host-key-mismatch"


def test_a_server_that_is_down_is_an_error_and_time_can_mend_it(tmp_path: Path) -> None:
    error = refused(tmp_path, over(tmp_path, f"ssh://127.0.0.1:{free_port()}/r.git", Access(None, None)))
    assert (error.kind, error.consequence) == ("status-unreachable", "retry")


def refused(folder: Path, status: StatusBranch) -> ReportError:
    with pytest.raises(ReportError) as caught:
        status.publish([signed(folder)], render=None, deadline_s=DEADLINE_S)
    return caught.value
