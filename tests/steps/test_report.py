"""report: what is sent, kept and said when the status branch or the disk is not as it should be."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest

from agent.domain.host_phase import HostPhase
from agent.domain.memory import FleetSettings
from agent.domain.status import Signed, report_path, signature_path
from agent.errors import ReportError, SettingsError
from agent.fleet.writer import StatusBranch
from agent.host.events import Events
from agent.host.identity import Identity
from agent.host.outbox import Spool, outboxes_of_host
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.steps.report import StatusReporter
from agent.system.folder import FolderTree
from tests.fleet import samples
from tests.steps.build import account, health, plan, planned

NOW = 1_790_000_000


@dataclass
class Branch:
    """Takes reports, or raises what it is told to."""

    error: Exception | None = None
    published: list[Signed] = field(default_factory=list)

    def publish(self, reports: Sequence[Signed], **_: Any) -> str:
        if self.error is not None:
            raise self.error
        self.published += reports
        return "0" * 40


@dataclass
class Dying:
    """The host goes down behind the push, or before it where there is no ``branch``."""

    branch: StatusBranch | None

    def publish(self, reports: Sequence[Signed], **more: Any) -> str:
        if self.branch is not None:
            self.branch.publish(reports, **more)
        raise KeyboardInterrupt


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    return paths


def reporter(paths: Paths, branch: Branch, spool: Spool | None = None) -> StatusReporter:
    first, reserve = outboxes_of_host(paths)
    paths.run.mkdir(parents=True, exist_ok=True)
    return StatusReporter(
        settings=Settings(remote="/srv/config.git", inventory="prod", host="web1"),
        memory=Memory(paths),
        events=Events(paths.events),
        identity=lambda: Identity.ensure(paths.identity, "web1"),
        outboxes=(replace(first, spool=spool or first.spool), reserve),
        branch=lambda *_: branch,  # type: ignore[arg-type,return-value]
        tree=lambda _: FolderTree(paths.root),
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("error", [ReportError("away"), SettingsError("no such remote"), OSError(28, "full")])
def test_nothing_that_keeps_an_announcement_from_being_sent_keeps_the_change_from_being_made(
    paths: Paths, error: Exception
) -> None:
    reporter(paths, Branch(error)).attempting(account())


def test_an_unsent_report_never_follows_a_newer_announcement_alone(paths: Paths) -> None:
    branch = Branch(ReportError("away"))
    failing = account(failures=[ReportError("x")], after=plan(planned()), health=health())
    with pytest.raises(ReportError):
        reporter(paths, branch).report(failing)
    branch.error = None
    reporter(paths, branch).attempting(failing)
    reporter(paths, branch).report(failing)
    assert branch.published[-1].report.phase is not HostPhase.ATTEMPTING
    assert branch.published[-1].report.sequence == max(each.report.sequence for each in branch.published)


def test_reports_that_are_given_up_are_told_on_the_host(paths: Paths) -> None:
    away = reporter(paths, Branch(ReportError("away")), Spool(paths.spool, max_reports=1))
    for failures in ([ReportError("x")], [ReportError("x"), SettingsError("y")]):
        with pytest.raises(ReportError):
            away.report(account(failures=failures))
    assert [event.kind for event in Events(paths.events).last(9)] == ["report-given-up"]


def test_what_the_state_folder_does_not_take_goes_out_by_way_of_run(paths: Paths) -> None:
    branch = Branch()
    told = reporter(paths, branch)
    told.report(account(failures=[SettingsError("x")]))
    full = without_state_folder(told)
    full.report(account(failures=[SettingsError("full", kind=ProblemKind.DISK_FULL)]))
    full.report(account(failures=[SettingsError("full", kind=ProblemKind.DISK_FULL)]))
    assert [each.report.problems[0].message for each in branch.published] == ["x", "full"]
    assert not list(paths.spool.glob("*.json"))


def test_what_could_not_be_sent_from_there_either_goes_first_when_the_disk_is_back(paths: Paths) -> None:
    branch = Branch(ReportError("away"))
    told = reporter(paths, branch)
    with pytest.raises(ReportError):
        without_state_folder(told).report(account(failures=[SettingsError("full", kind=ProblemKind.DISK_FULL)]))
    branch.error = None
    told.report(account(after=plan(planned()), health=health()))
    assert [each.report.phase for each in branch.published] == [HostPhase.FAILED, HostPhase.CONVERGED]
    sequences = [each.report.sequence for each in branch.published]
    assert sequences == sorted(set(sequences))
    assert all(not box.spool.pending() for box in told.outboxes)


def twins(tmp_path: Path) -> tuple[StatusReporter, StatusReporter]:
    """Two machines with one identity, and the branch that both report to."""
    remote = samples.bare(tmp_path / "status.git")
    key, told = Identity.ensure(tmp_path / "key", "web1"), []
    for name in ("one", "two"):
        (tmp_path / name / "var/lib/hostwright").mkdir(parents=True)
        sends = samples.branch(tmp_path, remote.as_uri(), f"{name}.cache")
        here = reporter(Paths(tmp_path / name), Branch())
        told.append(replace(here, branch=lambda *_, sends=sends: sends, identity=lambda: key))
    return told[0], told[1]


def problems(told: StatusReporter) -> list[str]:
    sent = told.outboxes[0].last_sent()
    return [] if sent is None else [problem.kind for problem in sent.problems]


def in_turn(*machines: StatusReporter, rounds: int, begin: int = 0) -> None:
    """One reports a quarter of an hour behind the other, and says something new each time."""
    for number in range(begin, begin + rounds * len(machines)):
        told = replace(machines[number % len(machines)], clock=lambda later=number * 900: NOW + later)
        failing = SettingsError("it is ill", kind=f"ill-{ascii_letters[number]}")
        told.report(account(failures=[failing], health=health()))


def test_two_machines_with_one_identity_are_told_by_both(tmp_path: Path) -> None:
    one, two = twins(tmp_path)
    in_turn(one, two, rounds=4)
    assert (problems(one), problems(two)) == (["ill-g", "identity-shared"], ["ill-h", "identity-shared"])
    sent = one.outboxes[0].last_sent()
    assert sent is not None
    assert "another machine reports as web1" in sent.problems[1].message
    assert "failed: it is ill" in sent.problems[1].message


def test_a_machine_that_shares_its_identity_no_more_recovers(tmp_path: Path) -> None:
    one, two = twins(tmp_path)
    in_turn(two, one, rounds=4)
    assert "identity-shared" in problems(one)
    replace(one, clock=lambda: NOW + 6 * 3600).report(account(after=plan(planned()), health=health()))
    assert problems(one) == []


def test_a_machine_that_lost_what_it_knew_shares_its_identity_with_nobody(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    in_turn(one, rounds=2)
    shutil.rmtree(tmp_path / "one/var/lib/hostwright")
    (tmp_path / "one/var/lib/hostwright").mkdir()
    in_turn(one, rounds=2, begin=2)
    assert problems(one) == ["ill-d"]


def test_a_machine_that_loses_what_it_knew_again_and_again_shares_its_identity_with_nobody(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    for begin in (0, 1, 2, 3):
        in_turn(one, rounds=1, begin=begin)
        for lost in ("sent.json", "announced.json"):
            (tmp_path / "one/var/lib/hostwright" / lost).unlink(missing_ok=True)
    in_turn(one, rounds=1, begin=4)
    assert problems(one) == ["ill-e"]


def test_a_machine_that_was_set_back_shares_its_identity_with_nobody(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    in_turn(one, rounds=1)
    shutil.copytree(tmp_path / "one", tmp_path / "snapshot")
    in_turn(one, rounds=2, begin=1)
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "snapshot").rename(tmp_path / "one")
    in_turn(one, rounds=2, begin=3)
    assert problems(one) == ["ill-e"]


def test_a_machine_whose_branch_is_put_back_again_and_again_shares_its_identity_with_nobody(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    remote, paths = tmp_path / "status.git", (report_path("web1"), signature_path("web1"))
    for number in range(3):
        in_turn(one, rounds=1, begin=number * 2)
        old = {path: samples.show(remote, path) for path in paths}
        in_turn(one, rounds=1, begin=number * 2 + 1)
        samples.tamper(remote, old)
    in_turn(one, rounds=2, begin=6)
    assert problems(one) == ["ill-h"]


def test_a_machine_that_reports_alone_shares_its_identity_with_nobody(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    for failures in ([SettingsError("x")], [], [SettingsError("y")]):
        one.attempting(account())
        one.report(account(failures=failures, after=plan(planned()), health=health()))
    assert problems(one) == ["settings"]


@pytest.mark.parametrize("arrived", [False, True])
def test_a_machine_that_is_killed_while_it_announces_a_change_knows_its_own_words(
    tmp_path: Path, arrived: bool
) -> None:
    one, _ = twins(tmp_path)
    one.report(account(failures=[SettingsError("x")]))
    sends = one.branch(FleetSettings(), tmp_path)

    dying = Dying(sends if arrived else None)
    cut_off = replace(one, branch=lambda *_: dying)  # type: ignore[arg-type,return-value]
    with pytest.raises(KeyboardInterrupt):
        cut_off.attempting(account())
    for failures in ([SettingsError("y")], [SettingsError("z")]):
        one.report(account(failures=failures, after=plan(planned()), health=health()))
    assert problems(one) == ["settings"]


def test_what_a_stranger_put_in_the_place_of_a_report_is_written_over(tmp_path: Path) -> None:
    one, _ = twins(tmp_path)
    one.report(account(failures=[SettingsError("x")]))
    forged = samples.signed(tmp_path / "eve", "web1")
    files = {report_path("web1"): forged.document, signature_path("web1"): forged.signature}
    samples.tamper(tmp_path / "status.git", files)
    for _ in range(2):
        one.report(account(after=plan(planned()), health=health()))
    assert problems(one) == []
    sent = one.outboxes[0].sent.read_bytes()
    assert samples.show(tmp_path / "status.git", report_path("web1")) == sent


def test_a_report_is_withdrawn_by_the_machine_that_sent_it(tmp_path: Path) -> None:
    one, two = twins(tmp_path)
    samples.tamper(tmp_path / "status.git", {"hosts/zz/other.json": b"{}"})
    one.report(account(failures=[SettingsError("x")]))
    two.withdraw()
    assert report_path("web1") in samples.paths(tmp_path / "status.git")
    one.withdraw()
    assert samples.paths(tmp_path / "status.git") == ["hosts/zz/other.json"]
    one.withdraw()
    assert samples.history(tmp_path / "status.git")[-1] == "web1: withdrawn"


def without_state_folder(told: StatusReporter) -> StatusReporter:
    first, reserve = told.outboxes
    return replace(told, outboxes=(replace(first, folder=first.folder / "gone"), reserve))
