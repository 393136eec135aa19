"""Many hosts, one branch, real git: every report arrives, and nothing else changes."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from agent.domain.host_phase import HostPhase
from agent.domain.status import RawDocument, ReportVerdict, report_path, signature_path
from agent.errors import ReportError
from agent.fleet.reader import judge_all
from agent.fleet.render import readme
from agent.system import git_branch
from tests.fleet import samples
from tests.fleet.samples import DEADLINE_S, NOW, bare, branch, history, paths, show, signed, tamper


def render(found: tuple[RawDocument, ...]) -> bytes:
    return readme(judge_all(found, {}), inventory="production", as_of=NOW)


def publish_one(folder: Path, remote: str, host: str, page: bool, start_at: float) -> str:
    """What one host does; runs in a process of its own."""
    mine = signed(folder, host)
    status = branch(folder, remote, f"cache-{host}")
    time.sleep(max(0.0, start_at - time.time()))
    return status.publish([mine], render=render if page else None, deadline_s=DEADLINE_S)


def publish_at_once(folder: Path, remote: Path | str, count: int, *, page: bool) -> list[str]:
    hosts = [f"web{number}" for number in range(1, count + 1)]
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(count, mp_context=fork) as pool:
        start_at = time.time() + 0.5
        runs = [pool.submit(publish_one, folder, str(remote), host, page, start_at) for host in hosts]
        for run in runs:
            run.result(timeout=2 * DEADLINE_S)
    return hosts


def test_the_first_report_creates_the_branch_with_the_host_s_two_files(tmp_path: Path) -> None:
    remote, mine = bare(tmp_path / "r.git"), signed(tmp_path)
    branch(tmp_path, remote).publish([mine], render=None, deadline_s=DEADLINE_S)
    assert paths(remote) == [report_path("web1"), signature_path("web1")]
    assert show(remote, report_path("web1")) == mine.document
    assert show(remote, signature_path("web1")) == mine.signature


def test_a_commit_says_which_host_and_what_phase(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    branch(tmp_path, remote).publish([signed(tmp_path)], render=None, deadline_s=DEADLINE_S)
    said = samples.git("log", "-1", "--format=%s|%an|%at", "status", cwd=remote).decode().strip()
    assert said == f"web1: converged|web1|{NOW}"


def test_spooled_reports_become_commits_in_their_order_with_one_push(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    reports = [
        signed(tmp_path, sequence=n, phase=HostPhase(word))
        for n, word in ((1, "attempting"), (2, "failed"), (3, "converged"))
    ]
    tip = branch(tmp_path, remote).publish(reports, render=None, deadline_s=DEADLINE_S)
    assert history(remote) == ["web1: attempting", "web1: failed", "web1: converged"]
    assert samples.git("rev-parse", "status", cwd=remote).decode().strip() == tip
    assert show(remote, report_path("web1"), "status~1") == reports[1].document


@pytest.mark.parametrize("page", [False, True])
def test_a_report_changes_the_host_s_own_files_and_the_page_only(tmp_path: Path, page: bool) -> None:
    remote = bare(tmp_path / "r.git")
    tamper(remote, {"hosts/zz/other.json": b"{}", "notes.txt": b"by an administrator", "README.md": b"old"})
    branch(tmp_path, remote).publish([signed(tmp_path)], render=render if page else None, deadline_s=DEADLINE_S)
    changed = samples.git("diff", "--name-only", "status~1", "status", cwd=remote).decode().split()
    assert changed == (["README.md"] if page else []) + [report_path("web1"), signature_path("web1")]


@pytest.mark.parametrize("count", [2, 20])
def test_of_many_hosts_reporting_to_an_empty_repository_at_once_every_report_arrives(
    tmp_path: Path, count: int
) -> None:
    remote = bare(tmp_path / "r.git")
    hosts = publish_at_once(tmp_path, remote, count, page=True)
    assert sorted(path for path in paths(remote) if path.endswith(".json")) == sorted(map(report_path, hosts))
    assert sorted(history(remote)) == sorted(f"{host}: converged" for host in hosts)
    assert not samples.git("log", "--merges", "status", cwd=remote)
    page = show(remote, "README.md").decode()
    assert all(f"<code>{host}</code>" in page for host in hosts)


def test_a_cache_from_before_is_used_and_brought_up_to_date(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    one, two = branch(tmp_path, remote, "one"), branch(tmp_path, remote, "two")
    for number in range(1, 4):
        one.publish([signed(tmp_path, "web1", number)], render=render, deadline_s=DEADLINE_S)
        two.publish([signed(tmp_path, "web2", number)], render=None, deadline_s=DEADLINE_S)
    assert history(remote) == ["web1: converged", "web2: converged"] * 3


@pytest.mark.parametrize("page", [False, True])
def test_nothing_is_fetched_where_the_branch_is_still_at_what_the_host_sent_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    remote = bare(tmp_path / "r.git")
    tamper(remote, {"hosts/zz/other.json": b"{}"})
    mine, told = branch(tmp_path, remote), render if page else None
    tip = mine.publish([signed(tmp_path, sequence=1)], render=told, deadline_s=DEADLINE_S)
    monkeypatch.setattr(git_branch, "bounded_fetch", None)
    heads = {"main": "0" * 40, "status": tip}
    mine.publish([signed(tmp_path, sequence=2)], render=told, deadline_s=DEADLINE_S, heads=heads)
    assert history(remote)[-2:] == ["web1: converged"] * 2
    assert show(remote, "hosts/zz/other.json") == b"{}"


@pytest.mark.parametrize("page", [False, True])
def test_who_builds_on_a_tip_that_others_have_passed_meanwhile_fetches_after_all(tmp_path: Path, page: bool) -> None:
    remote, told = bare(tmp_path / "r.git"), render if page else None
    one, two = branch(tmp_path, remote, "one"), branch(tmp_path, remote, "two")
    tip = one.publish([signed(tmp_path, "web1", 1)], render=told, deadline_s=DEADLINE_S)
    two.publish([signed(tmp_path, "web2", 1)], render=told, deadline_s=DEADLINE_S)
    one.publish([signed(tmp_path, "web1", 2)], render=told, deadline_s=DEADLINE_S, heads={"status": tip})
    assert history(remote) == ["web1: converged", "web2: converged", "web1: converged"]


@pytest.mark.parametrize("filters", [False, True])
def test_a_branch_that_is_deleted_after_the_host_saw_its_tip_is_written_anew(tmp_path: Path, filters: bool) -> None:
    """A server says of a push upon what it has no longer: shallow update not allowed, or: unpacker error."""
    remote = bare(tmp_path / "r.git")
    samples.git("config", "uploadpack.allowFilter", f"{filters}", cwd=remote)
    branch(tmp_path, remote, "other").publish([signed(tmp_path, "web2")], render=None, deadline_s=DEADLINE_S)
    status = branch(tmp_path, remote.as_uri())
    tip = status.publish([signed(tmp_path, "web1", 1)], render=None, deadline_s=DEADLINE_S)
    samples.git("update-ref", "-d", "refs/heads/status", cwd=remote)
    status.publish([signed(tmp_path, "web1", 2)], render=None, deadline_s=DEADLINE_S, heads={"status": tip})
    assert history(remote) == ["web1: converged"]


def test_with_filters_a_host_downloads_nobody_else_s_report(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    samples.git("config", "uploadpack.allowFilter", "true", cwd=remote)
    branch(tmp_path, remote, "other").publish([signed(tmp_path, "web2")], render=None, deadline_s=DEADLINE_S)
    url = remote.as_uri()
    for number in (1, 2):
        branch(tmp_path, url).publish([signed(tmp_path, "web1", number)], render=None, deadline_s=DEADLINE_S)
    others = samples.git("rev-parse", f"status:{report_path('web2')}", cwd=remote).decode().strip()
    held = samples.git("cat-file", "--batch-all-objects", "--batch-check", cwd=tmp_path / "cache/blob-none").decode()
    assert others not in held
    assert len(history(remote)) == 3


def test_a_host_that_begins_to_write_the_page_fetches_what_it_left_out_before(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    samples.git("config", "uploadpack.allowFilter", "true", cwd=remote)
    branch(tmp_path, remote, "other").publish([signed(tmp_path, "web2")], render=None, deadline_s=DEADLINE_S)
    status = branch(tmp_path, remote.as_uri())
    status.publish([signed(tmp_path, "web1", 1)], render=None, deadline_s=DEADLINE_S)
    status.publish([signed(tmp_path, "web1", 2)], render=render, deadline_s=DEADLINE_S)
    assert "<code>web2</code>" in show(remote, "README.md").decode()


def test_a_branch_that_was_deleted_is_written_anew(tmp_path: Path) -> None:
    remote, status = bare(tmp_path / "r.git"), branch(tmp_path, tmp_path / "r.git")
    status.publish([signed(tmp_path, sequence=1)], render=render, deadline_s=DEADLINE_S)
    samples.git("update-ref", "-d", "refs/heads/status", cwd=remote)
    status.publish([signed(tmp_path, sequence=2)], render=render, deadline_s=DEADLINE_S)
    assert history(remote) == ["web1: converged"]


def test_a_branch_whose_history_was_replaced_is_continued_where_it_is(tmp_path: Path) -> None:
    remote, status = bare(tmp_path / "r.git"), branch(tmp_path, tmp_path / "r.git")
    status.publish([signed(tmp_path, sequence=1)], render=None, deadline_s=DEADLINE_S)
    samples.git("update-ref", "-d", "refs/heads/status", cwd=remote)
    tamper(remote, {"README.md": b"squashed"}, "squashed")
    status.publish([signed(tmp_path, sequence=2)], render=None, deadline_s=DEADLINE_S)
    assert history(remote) == ["squashed", "web1: converged"]


def test_a_file_that_stands_where_the_folder_belongs_gives_way(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    tamper(remote, {"hosts": b"a file"})
    branch(tmp_path, remote).publish([signed(tmp_path)], render=render, deadline_s=DEADLINE_S)
    assert report_path("web1") in paths(remote)


def empty_objects(cache: Path) -> None:
    """As a power loss leaves them."""
    for path in (cache / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")


DAMAGE = {
    "a lock left by a killed run": lambda cache: (cache / "refs/hostwright/tip.lock").write_bytes(b""),
    "a shallow lock": lambda cache: (cache / "shallow.lock").write_bytes(b""),
    "an empty ref": lambda cache: (cache / "refs/hostwright/tip").write_bytes(b""),
    "a ref to nothing": lambda cache: (cache / "refs/hostwright/tip").write_text("1" * 40 + "\n"),
    "a broken shallow list": lambda cache: (cache / "shallow").write_bytes(b"garbage\n"),
    "emptied objects": empty_objects,
    "no HEAD": lambda cache: (cache / "HEAD").unlink(),
}


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_thrown_away_and_fetched_again(tmp_path: Path, damage: str, page: bool) -> None:
    remote, status = bare(tmp_path / "r.git"), branch(tmp_path, tmp_path / "r.git")
    how = render if page else None
    branch(tmp_path, remote, "other").publish([signed(tmp_path, "web2")], render=how, deadline_s=DEADLINE_S)
    status.publish([signed(tmp_path, sequence=1)], render=how, deadline_s=DEADLINE_S)
    (cache,) = (tmp_path / "cache").iterdir()
    DAMAGE[damage](cache)
    status.publish([signed(tmp_path, sequence=2)], render=how, deadline_s=DEADLINE_S)
    assert json.loads(show(remote, report_path("web1")))["sequence"] == 2


def test_a_hook_that_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    hook = remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'web1 may not write here' >&2\nexit 1\n")
    hook.chmod(0o755)
    error = refused(branch(tmp_path, remote), signed(tmp_path))
    assert error.kind == "status-refused"
    assert "web1 may not write here" in error.message
    assert error.hint


def test_a_remote_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    error = refused(branch(tmp_path, tmp_path / "nowhere.git"), signed(tmp_path))
    assert str(tmp_path / "nowhere.git") in error.message
    assert "check the address" in error.hint


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands before the real program of this name."""
    (folder / "bin").mkdir()
    (folder / "bin" / name).write_text(text)
    (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def test_a_remote_that_does_not_answer_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "ssh", "#!/bin/sh\nsleep 120\n", monkeypatch)
    status = branch(tmp_path, "ssh://nowhere.invalid/r.git")
    begun = time.monotonic()
    with pytest.raises(ReportError) as caught:
        status.publish([signed(tmp_path)], render=None, deadline_s=1.0)
    assert time.monotonic() - begun < 60
    assert caught.value.kind == "timeout"


def test_a_branch_that_is_never_free_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    (remote / "refs/heads/status.lock").write_bytes(b"")
    error = refused(branch(tmp_path, remote), signed(tmp_path), deadline_s=6.0)
    assert error.kind == "status-busy"


def test_more_on_the_branch_than_a_host_takes_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = bare(tmp_path / "r.git")
    samples.git("config", "uploadpack.allowFilter", "false", cwd=remote)
    tamper(remote, {"garbage": os.urandom(3 * 1024 * 1024)})
    monkeypatch.setattr(git_branch, "CACHE_MOST", 1024 * 1024)
    with pytest.raises(ReportError) as refused:
        branch(tmp_path, remote, "cache").publish([signed(tmp_path)], render=None, deadline_s=DEADLINE_S)
    assert refused.value.kind == "status-damaged"
    assert refused.value.hint
    assert sum(file.lstat().st_size for file in (tmp_path / "cache").rglob("*")) < 500_000


def test_a_cache_that_has_grown_too_large_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken back from the branch is not kept for ever."""
    remote, status = bare(tmp_path / "r.git"), branch(tmp_path, tmp_path / "r.git", "cache")
    samples.git("config", "uploadpack.allowFilter", "false", cwd=remote)
    tamper(remote, {"garbage": os.urandom(3 * 1024 * 1024)})
    status.read(DEADLINE_S)
    samples.git("update-ref", "-d", "refs/heads/status", cwd=remote)
    monkeypatch.setattr(git_branch, "CACHE_MOST", 1024 * 1024)
    status.publish([signed(tmp_path)], render=None, deadline_s=DEADLINE_S)
    assert sum(file.lstat().st_size for file in (tmp_path / "cache").rglob("*")) < 500_000


def test_a_malformed_object_on_the_branch_silences_nobody(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    blob = samples.git("hash-object", "-w", "--stdin", cwd=remote, input=b"x").decode().strip()
    entries = b"".join(b"100644 %b\0" % name + bytes.fromhex(blob) for name in (b"..", b".git", b"a", b"a"))
    tree = samples.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", cwd=remote, input=entries)
    tip = samples.git("commit-tree", "-m", "x", tree.decode().strip(), cwd=remote).decode().strip()
    samples.git("update-ref", "refs/heads/status", tip, cwd=remote)
    status = branch(tmp_path, remote)
    status.publish([signed(tmp_path)], render=render, deadline_s=DEADLINE_S)
    assert [found.path for found in status.read(DEADLINE_S)] == [report_path("web1")]


def test_a_server_that_drops_connections_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sshd does (MaxStartups) when many hosts begin at once."""
    remote = bare(tmp_path / "r.git")
    ssh = (
        "#!/bin/sh\n"
        f"if mkdir {tmp_path}/dropped; then\n"
        "  echo 'kex_exchange_identification: Connection closed by remote host' >&2; exit 255\n"
        "fi\n"
        'while [ $# -gt 1 ]; do shift; done; exec sh -c "$1"\n'
    )
    program(tmp_path, "ssh", ssh, monkeypatch)
    status = branch(tmp_path, f"ssh://git@server{remote}")
    status.publish([signed(tmp_path)], render=None, deadline_s=DEADLINE_S)
    assert history(remote) == ["web1: converged"]


def test_the_hosts_that_were_written_are_read_back_verified(tmp_path: Path) -> None:
    remote = bare(tmp_path / "r.git")
    for host in ("web1", "web2"):
        branch(tmp_path, remote, host).publish([signed(tmp_path, host)], render=render, deadline_s=DEADLINE_S)
    found = branch(tmp_path, remote, "reader").read(DEADLINE_S)
    identities = {host: samples.identity(tmp_path, host).public_line for host in ("web1", "web2")}
    statuses = judge_all(found, identities)
    assert [(status.host, status.verdict) for status in statuses] == [
        ("web1", ReportVerdict.VERIFIED),
        ("web2", ReportVerdict.VERIFIED),
    ]


def test_a_branch_that_does_not_exist_holds_no_reports(tmp_path: Path) -> None:
    assert branch(tmp_path, bare(tmp_path / "r.git")).read(DEADLINE_S) == ()


def refused(status, mine, deadline_s: float = DEADLINE_S) -> ReportError:  # type: ignore[no-untyped-def]
    with pytest.raises(ReportError) as caught:
        status.publish([mine], render=None, deadline_s=deadline_s)
    return caught.value
