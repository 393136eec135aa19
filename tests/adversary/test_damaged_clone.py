"""A disk, or whoever was on it, ruined the host's copy of the config repo or of a commit: it is made anew from the
remote without a person, nothing is followed, and what was trusted stays trusted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.memory import TrustRecord
from agent.domain.trial import Bad
from agent.errors import Consequence, SourceError
from agent.host.exports import Exports
from agent.host.healing import heal
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.system.files import discard
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.adversary.victim import Victim, motd
from tests.gitserver import Author, damaging_proxy, http_server
from tests.system.test_git_damage import overwrite_packs


def discard_all(path: Path) -> None:
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o755)
    discard(path)


def gone(clone: Path) -> None:
    discard(clone)


def dangling(clone: Path) -> None:
    discard(clone)
    clone.symlink_to("/nowhere/at/all")


def link(clone: Path) -> None:
    """To a repository of somebody else's."""
    elsewhere = clone.with_name("elsewhere.git")
    shutil.copytree(clone, elsewhere)
    discard(clone)
    clone.symlink_to(elsewhere)


def garbage(clone: Path) -> None:
    discard(clone)
    (clone / "objects").mkdir(parents=True)
    (clone / "HEAD").write_bytes(os.urandom(100))
    (clone / "rubbish").write_bytes(os.urandom(10_000))


def empty(clone: Path) -> None:
    discard(clone)
    clone.mkdir()


def pipe(clone: Path) -> None:
    discard(clone)
    os.mkfifo(clone)


def truncated(clone: Path) -> None:
    for pack in clone.glob("objects/pack/*.pack"):
        pack.chmod(0o644)
        os.truncate(pack, pack.stat().st_size // 2)


def overwritten(clone: Path) -> None:
    overwrite_packs(clone, 0.5)


def without_packs(clone: Path) -> None:
    for pack in clone.glob("objects/pack/*"):
        pack.unlink()


RUINS = [gone, dangling, link, garbage, empty, pipe, truncated, overwritten, without_packs]


@pytest.fixture(params=RUINS, ids=lambda ruin: ruin.__name__)
def ruin(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    ruined: Callable[[Path], None] = request.param
    return ruined


def test_it_is_cloned_anew_and_the_next_commit_is_applied(
    host: Victim, ann: Author, ruin: Callable[[Path], None]
) -> None:
    second = host.repo.commit("Second", motd("again"), by=ann)
    next_process(host)
    ruin(host.parts.paths.mirror)
    assert host.cycle().problems == ()
    assert (host.last, host.engine.applied[-1]) == (second, second)
    assert not host.parts.paths.mirror.is_symlink()


def test_a_history_that_was_taken_back_is_refused_from_a_new_clone_too(
    host: Victim, ann: Author, ruin: Callable[[Path], None]
) -> None:
    first = host.repo.head
    host.repo.commit("Mend the hole", motd("mended"), by=ann)
    host.cycle()
    host.repo.git("reset", "-q", "--hard", first)
    next_process(host)
    ruin(host.parts.paths.mirror)
    trust, applied = host.parts.memory.trust(), [*host.engine.applied]
    host.cycle()  # may end with the new clone
    next_process(host)
    assert "history-rewritten" in {problem.kind for problem in host.cycle().problems}
    assert (host.parts.memory.trust(), host.engine.applied) == (trust, applied)


REMEMBERED = ["applied.json", "state.json", "sighted.json", "journal", "ledger", "events.jsonl", "commits", "repo.git"]


def spoil(path: Path) -> None:
    """Whatever it is, it is no longer what it was."""
    discard_all(path)
    path.write_bytes(b"\\0garbage")


def gone_back(host: Victim, ann: Author) -> str:
    """The remote offers an older, signed history; the commit that it offers."""
    first = host.repo.head
    host.repo.commit("Mend the hole", motd("mended"), by=ann)
    host.cycle()
    host.repo.git("reset", "-q", "--hard", first)
    return first


def heals_and_refuses(host: Victim, older: str) -> set[str]:
    """The kinds of problem of two cycles, in which nothing of the older history is planned or applied."""
    next_process(host)
    parts, applied = host.parts, [*host.engine.applied]
    planned = len(host.engine.planned)
    heal(parts.paths, memory=parts.memory, journal=parts.journal, ledger=parts.ledger)
    kinds = {problem.kind for _ in range(2) for problem in host.cycle().problems}
    assert host.engine.applied == applied
    assert older not in host.engine.planned[planned:]
    assert host.last != older
    return kinds


@pytest.mark.parametrize("ruin", [discard_all, spoil], ids=["gone", "garbage"])
@pytest.mark.parametrize("other", REMEMBERED)
def test_an_older_history_is_refused_where_the_trust_mark_and_something_else_are_lost(
    host: Victim, ann: Author, other: str, ruin: Callable[[Path], None]
) -> None:
    older = gone_back(host, ann)
    host.parts.mirror.close()
    ruin(host.parts.paths.var / other)
    host.parts.paths.document("trust").unlink()
    assert heals_and_refuses(host, older) & {"history-rewritten", "trust-lost"}


@pytest.mark.parametrize(
    "kept", ["ledger", "events.jsonl", "bad.json", "state.json", "commits", "sent.json", "repo.git"]
)
def test_one_thing_that_is_left_is_enough_to_refuse_an_older_history(host: Victim, ann: Author, kept: str) -> None:
    older = gone_back(host, ann)
    parts = host.parts
    parts.ledger.record("file:/etc/motd", "motd", 5, None)
    parts.memory.keep_bad(Bad("d" * 64, older, 5, "did harm"))
    parts.paths.sent.write_text(f'{{"commits": {{"trusted": "{host.last}"}}}}')
    parts.mirror.close()
    for path in parts.paths.var.iterdir():
        if path.name != kept:
            discard_all(path)
    assert heals_and_refuses(host, older) & {"history-rewritten", "trust-lost"}


def test_what_is_lost_is_made_good_by_a_person(host: Victim, ann: Author) -> None:
    parts = host.parts
    parts.ledger.record("file:/etc/motd", "motd", 5, None)
    for path in parts.paths.var.iterdir():
        if path.name != "ledger":
            discard_all(path)
    next_process(host)
    heal(parts.paths, memory=parts.memory, journal=parts.journal, ledger=parts.ledger)
    (problem,) = host.cycle().problems
    assert (problem.kind, problem.exit, problem.consequence) == ("trust-lost", 5, "stall")
    assert "hostwright trust reset" in problem.hint
    parts.memory.keep_trust(TrustRecord())  # as that command does
    assert host.cycle().problems == ()
    assert host.last == host.repo.head


def test_a_host_that_never_trusted_anything_has_lost_nothing(host: Victim) -> None:
    for path in host.parts.paths.var.iterdir():
        discard_all(path)
    next_process(host)
    parts = host.parts
    assert heal(parts.paths, memory=parts.memory, journal=parts.journal, ledger=parts.ledger) == ()
    assert host.cycle().problems == ()


def test_without_its_remote_it_stays_on_what_it_had(host: Victim, ruin: Callable[[Path], None]) -> None:
    host.repo.path.rename(host.repo.path.with_name("away"))
    next_process(host)
    ruin(host.parts.paths.mirror)
    before = host.parts.memory.applied(), host.parts.memory.trust(), [*host.engine.applied]
    report = host.cycle()
    assert {problem.exit for problem in report.problems} == {4}
    assert (host.parts.memory.applied(), host.parts.memory.trust(), host.engine.applied) == before
    host.repo.path.with_name("away").rename(host.repo.path)
    assert host.cycle().problems == ()


def tamper(export: Path) -> None:
    file = export / "inventories/prod/site.yaml"
    file.chmod(0o644)
    file.write_text("evil")


def add(export: Path) -> None:
    export.chmod(0o755)
    (export / "sitecustomize.py").write_text("evil")


def take_away(export: Path) -> None:
    export.chmod(0o755)
    discard_all(export / "inventories")


def lead_elsewhere(export: Path) -> None:
    other = export.with_name("elsewhere")
    shutil.copytree(export, other)
    discard_all(export)
    export.symlink_to(other)


def replace_by_a_file(export: Path) -> None:
    discard_all(export)
    export.write_text("evil")


@pytest.mark.parametrize("change", [tamper, add, take_away, lead_elsewhere, replace_by_a_file])
def test_an_export_that_somebody_changed_is_made_anew_before_it_is_used(
    host: Victim, change: Callable[[Path], None]
) -> None:
    commits = host.parts.paths.commits
    (export,) = commits.iterdir()
    change(export)
    next_process(host)
    assert host.cycle().problems == ()
    assert not export.is_symlink()
    assert (export / "inventories/prod/site.yaml").read_text().startswith("- hosts")
    assert sorted(path.name for path in export.iterdir()) == ["inventories"]
    assert [path.name for path in commits.iterdir()] == [export.name]


def test_what_arrives_broken_is_asked_for_again_and_does_not_stall(host: Victim, tmp_path: Path) -> None:
    """One byte of the pack is another one when it arrives."""
    head = host.repo.commit("Second", {"data": os.urandom(20_000)})
    host.repo.bare(tmp_path / "served/config.git")
    mirror = Mirror(tmp_path / "fresh.git", Access(None, None))
    with http_server(tmp_path / "served") as server:
        with damaging_proxy(server.port, at=9000) as port, pytest.raises(SourceError) as refused:
            mirror.fetch(f"http://127.0.0.1:{port}/config.git", "main")
        assert (refused.value.kind, refused.value.consequence) == ("transfer-damaged", Consequence.RETRY)
        assert mirror.fetch(server.url("config.git"), "main").sha == head


def next_process(host: Victim) -> None:
    """Each cycle is a process of its own: nothing is open, nothing is remembered but what is on the disk."""
    host.parts.mirror.close()
    mirror = Mirror(host.parts.paths.mirror, Access(None, None))
    paths = host.parts.paths
    host.parts = replace(
        host.parts,
        mirror=mirror,
        exports=Exports(paths.commits, mirror),
        journal=Journal(paths.journal),
        ledger=Ledger(paths.ledger),
    )
