"""Mirror: real remotes and their history, whatever is wrong with the remote or its names."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.errors import Consequence, SettingsError, SourceError
from agent.system.git_command import Access
from agent.system.git_objects import PACKS_LIMIT
from agent.system.mirror import Mirror
from tests.gitserver import (
    ConfigRepo,
    SshServer,
    answering_server,
    author,
    endless_refs,
    free_port,
    hostile_server,
    http_server,
    silent_server,
    ssh_server,
)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


# Remotes


def test_a_commit_is_fetched_over_file(repo: ConfigRepo, mirror: Mirror) -> None:
    commit = mirror.fetch(f"{repo.path}", "main")
    assert (commit.sha, commit.subject) == (repo.head, "First")
    assert mirror.tree(commit.sha).read("site.yaml") == b"- hosts: all\n"


def test_the_daemon_asks_a_remote_by_the_command_whose_answer_a_fetch_keeps(repo: ConfigRepo, mirror: Mirror) -> None:
    repo.git("tag", "v1")
    argv, environment, timeout_s = mirror.asking(f"{repo.path}", tags=True)
    done = subprocess.run(argv, env=environment, timeout=timeout_s, stdout=subprocess.PIPE, check=True)
    assert done.stdout.endswith(b"\trefs/tags/v1\n")
    assert mirror.fetch(f"{repo.path}", "main", tags=True).listed == done.stdout


def test_a_commit_is_known_by_the_digits_that_it_begins_with(repo: ConfigRepo, mirror: Mirror) -> None:
    sha = mirror.fetch(f"{repo.path}", "main").sha
    assert mirror.beginning(sha[:7]) == [sha]
    assert mirror.beginning("0" * 12) == []


def test_a_new_commit_is_fetched_over_http(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv") as server:
        mirror.fetch(server.url("config.git"), "main")
        second = repo.commit("Second", {"more": "x"})
        repo.git("push", "--quiet", "origin", "main")
        assert mirror.fetch(server.url("config.git"), "main").sha == second


def test_a_commit_is_fetched_over_ssh_with_the_deploy_key(repo: ConfigRepo, sshd: SshServer, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "repo.git", Access(sshd.known_hosts, sshd.client_key))
    assert mirror.fetch(sshd.url(repo.path), "main").sha == repo.head


def test_the_daemon_can_ask_a_server_that_offers_the_costly_key_exchange_alone(
    repo: ConfigRepo, tmp_path: Path
) -> None:
    only = "KexAlgorithms sntrup761x25519-sha512@openssh.com"
    with ssh_server(tmp_path / "sshd", only) as server:
        mirror = Mirror(tmp_path / "repo.git", Access(server.known_hosts, server.client_key))
        argv, environment, timeout_s = mirror.asking(server.url(repo.path), tags=False)
        done = subprocess.run(argv, env=environment, timeout=timeout_s, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\trefs/heads/main\n")


def test_user_and_password_of_a_url_open_the_door(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv", password="ann:p@ss") as server:
        assert mirror.fetch(server.url("config.git", "ann:p%40ss"), "main").sha == repo.head


def test_a_wrong_password_is_refused_and_not_repeated(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv", password="ann:right") as server, pytest.raises(SourceError) as refused:
        mirror.tip(server.url("config.git", "ann:hunter2"), "main")
    assert refused.value.kind == "auth-refused"
    assert "hunter2" not in f"{refused.value}{refused.value.hint}"


def test_no_argument_of_any_program_holds_the_password(mirror: Mirror, tmp_path: Path) -> None:
    """All users of a host can read the arguments of all programs."""
    seen = tmp_path / "seen"
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexit 1\n')
    fake.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, suppress(SourceError):
        patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        mirror.tip("https://ann:hunter2@git.example.org/x.git", "main")
    assert "git.example.org" in seen.read_text()
    assert "hunter2" not in seen.read_text()


def test_a_password_without_a_server_that_wants_one_is_asked_of_nobody(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path
) -> None:
    repo.bare(tmp_path / "srv/config.git")
    with http_server(tmp_path / "srv", password="ann:right") as server, pytest.raises(SourceError) as refused:
        mirror.tip(server.url("config.git"), "main")
    assert refused.value.kind == "auth-refused"


def test_a_repository_that_is_not_there_says_so(mirror: Mirror, tmp_path: Path) -> None:
    with http_server(tmp_path) as server, pytest.raises(SourceError, match=r"not found") as refused:
        mirror.tip(server.url("nope.git"), "main")
    assert refused.value.kind == "source-unreachable"
    assert "address" in refused.value.hint


def test_a_branch_that_is_not_there_says_so(repo: ConfigRepo, mirror: Mirror) -> None:
    with pytest.raises(SourceError, match="no branch prod") as refused:
        mirror.tip(f"{repo.path}", "prod")
    assert refused.value.kind == "branch-missing"


def test_a_server_that_is_down_is_unreachable(mirror: Mirror) -> None:
    with pytest.raises(SourceError) as refused:
        mirror.tip(f"http://127.0.0.1:{free_port()}/x.git", "main")
    assert refused.value.kind == "source-unreachable"


@pytest.mark.parametrize("scheme", ["http", "ssh"])
def test_a_server_that_never_answers_times_out(tmp_path: Path, scheme: str) -> None:
    mirror = Mirror(tmp_path / "repo.git", Access(None, None, timeout_s=1))
    begun = time.monotonic()
    with silent_server() as port, pytest.raises(SourceError) as refused:
        mirror.fetch(f"{scheme}://127.0.0.1:{port}/x.git", "main")
    assert refused.value.kind == "timeout"
    assert time.monotonic() - begun < 60


TRICKLE = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n"


def test_a_server_that_trickles_times_out(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "repo.git", Access(None, None, timeout_s=1))
    with answering_server(TRICKLE, trickles=True) as port, pytest.raises(SourceError) as refused:
        mirror.fetch(f"http://127.0.0.1:{port}/x.git", "main")
    assert refused.value.kind == "timeout"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.0 200 OK\r\n\r\n\0\xff\x1b[2Jgarbage", b"garbage\r\n\r\n", b"", b"HTTP/1.0 503 no\r\n\r\n"],
)
def test_a_server_that_talks_nonsense_is_asked_again_later(mirror: Mirror, answer: bytes) -> None:
    """Such as the login page of a hotel's network."""
    with answering_server(answer) as port, pytest.raises(SourceError) as refused:
        mirror.fetch(f"http://127.0.0.1:{port}/x.git", "main")
    assert refused.value.consequence is Consequence.RETRY
    assert "\x1b" not in refused.value.message


def test_a_server_that_lists_branches_without_end_takes_no_more_than_its_share_of_memory(tmp_path: Path) -> None:
    """It is ended by its memory: the time that it might take is far longer."""
    mirror = Mirror(tmp_path / "repo.git", Access(None, None, timeout_s=250))
    with hostile_server(endless_refs) as port, pytest.raises(SourceError) as refused:
        mirror.fetch(f"http://127.0.0.1:{port}/x.git", "main")
    assert (refused.value.kind, refused.value.consequence) == ("bad-answer", Consequence.RETRY)


def test_an_unknown_host_key_is_refused(repo: ConfigRepo, sshd: SshServer, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    mirror = Mirror(tmp_path / "repo.git", Access(tmp_path / "known_hosts", sshd.client_key))
    with pytest.raises(SourceError) as refused:
        mirror.tip(sshd.url(repo.path), "main")
    assert refused.value.kind == "host-key-unknown"
    assert (tmp_path / "known_hosts").read_text() == ""


def test_a_changed_host_key_is_refused(repo: ConfigRepo, sshd: SshServer, tmp_path: Path) -> None:
    other = author(tmp_path, "other")
    (tmp_path / "known_hosts").write_text(sshd.known_as(other.key))
    mirror = Mirror(tmp_path / "repo.git", Access(tmp_path / "known_hosts", sshd.client_key))
    with pytest.raises(SourceError) as refused:
        mirror.tip(sshd.url(repo.path), "main")
    assert refused.value.kind == "host-key-mismatch"


def test_a_deploy_key_that_the_server_does_not_know_is_refused(
    repo: ConfigRepo, sshd: SshServer, tmp_path: Path
) -> None:
    stranger = author(tmp_path, "stranger")
    mirror = Mirror(tmp_path / "repo.git", Access(sshd.known_hosts, stranger.key))
    with pytest.raises(SourceError) as refused:
        mirror.tip(sshd.url(repo.path), "main")
    assert refused.value.kind == "auth-refused"


@pytest.mark.parametrize("branch", ["--upload-pack=touch pwned", "-x", "a..b", "a b", "x.lock", "", "a\nb", "@{-1}"])
def test_a_branch_name_that_could_mean_something_else_is_refused(repo: ConfigRepo, mirror: Mirror, branch: str) -> None:
    with pytest.raises(SettingsError) as refused:
        mirror.fetch(f"{repo.path}", branch)
    assert refused.value.kind == "bad-branch"


def test_a_local_remote_that_others_can_write_to_is_refused(repo: ConfigRepo, mirror: Mirror) -> None:
    (repo.path / ".git/config").chmod(0o666)
    with pytest.raises(SettingsError, match="can be written to by others"):
        mirror.tip(f"{repo.path}", "main")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_local_remote_of_another_user_is_refused(repo: ConfigRepo, mirror: Mirror) -> None:
    os.chown(repo.path, 12345, 12345)
    with pytest.raises(SettingsError, match="belongs to uid 12345"):
        mirror.tip(f"{repo.path}", "main")


def test_nothing_of_the_caller_s_environment_reaches_git(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of the remote, which has GIT_DIR and more set to the remote."""
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\thooksPath = {tmp_path}\n\tsshCommand = false\n[protocol]\n\tallow = never\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", f"{config}")
    monkeypatch.setenv("GIT_DIR", f"{tmp_path}/nowhere")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", f"{tmp_path}/nowhere/objects")
    head = mirror.fetch(f"{repo.path}", "main").sha
    assert mirror.descends(head, head)
    assert [entry.path for entry in mirror.tree(head).entries()] == ["bin/run", "site.yaml"]


def test_the_mirror_runs_no_hook(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fetch(f"{repo.path}", "main")
    for name in ("reference-transaction", "post-fetch", "pre-auto-gc", "post-update"):
        hook = tmp_path / "host/repo.git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
        hook.chmod(0o755)
    repo.commit("Second")
    mirror.fetch(f"{repo.path}", "main")
    assert not (tmp_path / "hook-ran").exists()


def test_a_rewritten_branch_is_fetched_and_the_old_commit_stays(repo: ConfigRepo, mirror: Mirror) -> None:
    """``verify`` has to see both to tell that history was rewritten."""
    old = mirror.fetch(f"{repo.path}", "main").sha
    mirror.keep(old)
    repo.git("commit", "--quiet", "--amend", "-m", "Rewritten")
    new = mirror.fetch(f"{repo.path}", "main").sha
    assert new == repo.head != old
    assert mirror.has(old)


def test_many_small_fetches_do_not_pile_up_packs(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    packs = tmp_path / "host/repo.git/objects/pack"
    first = mirror.fetch(f"{repo.path}", "main").sha
    mirror.keep(first)
    pack = next(packs.glob("*.pack"))
    for number in range(PACKS_LIMIT):  # copies under other names are as good as packs of their own
        for suffix in (".pack", ".idx"):
            shutil.copy(pack.with_suffix(suffix), packs / f"pack-{number:040x}{suffix}")
    repo.commit("Second", {"more": "x"})
    second = mirror.fetch(f"{repo.path}", "main").sha
    mirror.keep(second)
    assert len(list(packs.glob("*.pack"))) <= 2
    assert mirror.descends(second, first)


# History


def test_history_is_walked_along_first_parents(repo: ConfigRepo, mirror: Mirror) -> None:
    """first ── second ── merge ── last      the branch's own commit is not in the walk
    └──── side ──────┘"""
    first = repo.head
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit("Side", {"side": "x"})
    repo.git("checkout", "--quiet", "main")
    second = repo.commit("Second", {"main": "x"})
    merge = repo.merge("side")
    last = repo.commit("Last")
    mirror.fetch(f"{repo.path}", "main")
    assert mirror.first_parent_range(first, last) == (second, merge, last)
    assert mirror.descends(last, side)
    assert not mirror.descends(second, side)


def test_nothing_descends_from_a_commit_that_is_not_here(repo: ConfigRepo, mirror: Mirror) -> None:
    head = mirror.fetch(f"{repo.path}", "main").sha
    assert not mirror.descends(head, "0" * 40)


def test_a_commit_that_is_not_here_is_named(repo: ConfigRepo, mirror: Mirror) -> None:
    mirror.fetch(f"{repo.path}", "main")
    with pytest.raises(SourceError, match="0000") as refused:
        mirror.commit("0" * 40)
    assert refused.value.kind == "commit-missing"


def test_a_subject_cannot_play_tricks_on_a_terminal(repo: ConfigRepo, mirror: Mirror) -> None:
    repo.commit("\x1b[2J\u202eevil" + "x" * 500)
    subject = mirror.fetch(f"{repo.path}", "main").subject
    assert subject.startswith(r"\x1b[2J\u202eevil")
    assert len(subject) <= 120
