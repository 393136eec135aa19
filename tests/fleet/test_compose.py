"""compose: the account of a cycle as others read it."""

from __future__ import annotations

from typing import Any

from agent.domain.account import Account
from agent.domain.event import Event
from agent.domain.host_phase import HostPhase
from agent.domain.memory import Applied, AppliedDeploy
from agent.domain.outcome import Status
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.plan import Cause, Hold, HoldKind, PermittedPlan
from agent.domain.removal import Fate, Leaving, Pruned, Removal
from agent.domain.report import LATEST, Report
from agent.domain.status import REPORT_LIMIT, encode
from agent.errors import DeployError
from agent.fleet.compose import ReportMeta, compose
from agent.fleet.reader import parse
from tests.steps.build import account, change, deploy, outcome, plan, planned, result, state


def report(told: Account, **more: Any) -> Report:
    meta = ReportMeta("web1", "prod", "1.0.0", sequence=1, at=1000, next_due=2000, **more)
    return compose(told, HostPhase.FAILED, Applied(), (), meta)


def test_a_report_is_never_longer_than_readers_take() -> None:
    changes = [change(resource=f"op:{'ü' * 2000}#{number}", cause=Cause.DRIFT) for number in range(500)]
    told = account(
        plan=plan(planned(*changes)),
        applied={"motd": AppliedDeploy(deploy().digest, {}, tuple(each.resource for each in changes))},
        failures=[DeployError("x" * 9000, hint="y" * 9000) for _ in range(300)],
    )
    composed = report(told)
    assert len(encode(composed)) <= REPORT_LIMIT
    assert (composed.changes_total, composed.problems != ()) == (500, True)


def test_of_very_many_deploys_those_are_told_that_are_not_in_sync() -> None:
    names = [f"{number}-{'x' * 80}" for number in range(3000)]
    wanted = plan(*[planned(*[change(deploy=name)] * (name[:4] == "2999"), deploy=name) for name in names])
    composed = report(account(state=state(*[deploy(name) for name in names]), plan=wanted))
    assert len(encode(composed)) <= REPORT_LIMIT
    assert (composed.deploys[0].name[:5], len(composed.deploys)) == ("2999-", 100)


def test_an_operation_of_any_length_can_be_reported_as_not_idempotent() -> None:
    kept = {"motd": AppliedDeploy(deploy().digest, {}, ("op:" + "x" * 9000,))}
    (reported,) = report(account(plan=plan(planned()), applied=kept)).deploys
    assert len(reported.not_idempotent[0]) == 1000


def test_what_came_about_while_applying_is_reported_as_a_change() -> None:
    restart = planned(change(resource="unit:nginx"))
    done = outcome(Status.DONE, result(resource="unit:nginx"))
    told = account(state=state(deploy()), plan=plan(planned()), outcome=type(done)(done.deploys, (restart,)))
    assert [(each.resource, each.state) for each in report(told).changes] == [("unit:nginx", "done")]


def test_counts_of_lines_are_told_where_the_fleet_wants_them() -> None:
    told = account(plan=plan(planned(change(diff="-by hand\n+by git\n+and more\n"))))
    (counted,), (silent,) = report(told).changes, report(told, counts=False).changes
    assert ((counted.added, counted.removed), (silent.added, silent.removed)) == ((2, 1), (0, 0))


def test_of_what_a_command_wrote_only_the_line_that_says_why_leaves_the_host() -> None:
    event = Event(5, "failed", "run it: exit 3\npassword=hunter2", "app", "op:run it#1")
    meta = ReportMeta("web1", "prod", "1.0.0", sequence=1, at=1000, next_due=2000)
    (told,) = compose(account(), HostPhase.FAILED, Applied(), [event], meta).events
    assert told.message == "op:run it#1: run it: exit 3"


def test_what_is_no_text_or_no_time_does_not_keep_a_host_from_reporting() -> None:
    event = Event(10**30, "failed", "file:/srv/\udcff: no", "app", "file:/srv/\udcff")
    hold = Hold(HoldKind.WINDOW, "x", 10**30)
    told = account(hold=hold, failures=[DeployError("/srv/\udcff")])
    meta = ReportMeta("web1", "prod", "1.0.0", sequence=1, at=-1, next_due=10**30)
    composed = parse(encode(compose(told, HostPhase.FAILED, Applied(), [event], meta)))
    assert composed.problems[0].message == "/srv/\\udcff"
    assert (composed.at, composed.next_due, composed.holds[0].until, composed.events[0].at) == (0, *[LATEST] * 3)


def test_a_hold_is_told_once_however_many_deploys_wait_for_it() -> None:
    suspended, shut = Hold(HoldKind.SUSPENDED, "suspended on this host: disk"), Hold(HoldKind.WINDOW, "outside")
    deploys = [planned(change(deploy=name), deploy=name) for name in ("a", "b", "c")]
    held = PermittedPlan(plan(*deploys), {}, (), {"a": suspended, "b": shut, "c": shut})
    told = report(account(hold=suspended, permitted=held)).holds
    assert [each.reason for each in told] == ["suspended on this host: disk", "b, c: outside"]


def entry(key: str, standing: Standing = Standing.OWNED, reason: str = "") -> LedgerEntry:
    return LedgerEntry(key, "app", 5, Origin.CREATED, standing=standing, reason=reason)


def test_what_left_git_and_stays_is_told_with_its_reason() -> None:
    hold = Hold(HoldKind.PRUNE_HELD, "too many")
    standing = (entry("file:/b", Standing.ORPHANED, "content"), entry("file:/c", Standing.RELEASED))
    leaving = Leaving((Removal(entry("file:/a"), Fate.REMOVE, hold=hold), Removal(entry("file:/d"), Fate.REMOVE)))
    told = report(account(pruned=Pruned(leaving=leaving, standing=standing)))
    assert [(each.resource, each.deploy, each.reason) for each in told.prune_held] == [("file:/a", "app", "too many")]
    assert [(each.resource, each.reason) for each in told.orphaned] == [("file:/b", "content")]
    assert [(each.resource, each.reason) for each in told.released] == [("file:/c", "")]
    assert [(each.kind, each.reason) for each in told.holds] == [("prune-held", "too many")]


def test_of_very_much_that_stays_a_part_is_told() -> None:
    standing = tuple(entry(f"file:/{'x' * 3000}{number}", Standing.ORPHANED, "y" * 3000) for number in range(500))
    composed = report(account(pruned=Pruned(standing=standing)))
    assert len(encode(composed)) <= REPORT_LIMIT
    assert 0 < len(composed.orphaned) <= 200


def test_operations_that_look_after_nothing_are_counted() -> None:
    assert report(account(after=plan(planned(unowned=2), planned(unowned=1)))).unowned == 3
