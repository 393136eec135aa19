"""Rest: until when a cycle would find nothing to do, by what the last one turned out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.brief_daemon import rests_until
from agent.domain.account import Account, Reboot, Rollback
from agent.domain.check import Check, CheckResult
from agent.domain.commit import Commit
from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.health import Health, Symptom, Vitals
from agent.domain.memory import Attempt, State
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.plan import Cause, Change, DeployPlan, Hold, HoldKind, Plan, WantedChange
from agent.domain.removal import Fate, Leaving, Pruned, Removal
from agent.domain.trial import Bad
from agent.errors import ReportError, SourceError

NOW = 1_790_000_000
REPORT = NOW + 1800
SHA = "c" * 40

VITALS = Vitals(1, 1, 1, 1, 0, 100, 100, 100, 1)
HEALTH = Health(VITALS, (), reboot_required=False)
RESTING = Account(
    fetched=Commit(SHA, ""),
    state=DesiredState(SHA, "d" * 64, (), ""),
    after=Plan(SHA, "d" * 64, (DeployPlan("files"),)),
    pruned=Pruned(),
    health=HEALTH,
)
LEAVING = Leaving((Removal(LedgerEntry("file:/srv/b", "files", NOW, Origin.CREATED), Fate.REMOVE),))
CHANGE = Change("files", WantedChange("file:/srv/a", "write content"), Cause.DRIFT)


def window(until: int | None) -> Hold:
    return Hold(HoldKind.WINDOW, "it is outside its windows", until)


def checked(*kinds: str) -> Account:
    """A host whose health checks pass."""
    deploy = DesiredDeploy("web", "files", {}, "d" * 64, health=tuple(Check("web", kind, kind) for kind in kinds))
    passed = tuple(CheckResult("web", kind, passed=True) for kind in kinds)
    return replace(RESTING, state=DesiredState(SHA, "d" * 64, (deploy,), ""), health=replace(HEALTH, checks=passed))


def until(account: Account, state: State | None = None, *, on_trial: bool = False, next_report: int = REPORT) -> int:
    return rests_until(account, state or State(), on_trial=on_trial, next_report=next_report, now=NOW)


def test_a_host_with_nothing_to_do_rests_until_it_has_to_report() -> None:
    assert until(RESTING) == REPORT


def test_checks_that_the_daemon_can_ask_keep_no_host_awake() -> None:
    assert until(checked("http", "tcp", "certificate", "unit", "file")) == REPORT


@pytest.mark.parametrize(
    "account",
    [
        replace(RESTING, hold=Hold(HoldKind.SUSPENDED, "disk", NOW + 60), pruned=Pruned(waits="the host is suspended")),
        replace(RESTING, hold=Hold(HoldKind.PINNED, "a person said so", NOW + 60)),
        replace(RESTING, hold=Hold(HoldKind.INCONCLUSIVE, "taken back", NOW + 60)),
        replace(RESTING, hold=window(NOW + 60), shut=window(NOW + 60)),
        replace(RESTING, shut=window(NOW + 60)),
        replace(RESTING, reboot=Reboot(Hold(HoldKind.REBOOT, "less than a day ago", NOW + 60))),
        replace(RESTING, update=Hold(HoldKind.UPDATE, "outside its windows", NOW + 60)),
    ],
    ids=["suspension", "pin", "doubt", "held-commit", "window", "reboot", "update"],
)
def test_what_waits_for_a_moment_ends_the_rest_then(account: Account) -> None:
    assert until(account) == NOW + 60


@pytest.mark.parametrize("kind", [HoldKind.SUSPENDED, HoldKind.PINNED, HoldKind.BAD])
def test_what_waits_for_a_person_or_a_commit_does_not_end_it(kind: HoldKind) -> None:
    assert until(replace(RESTING, hold=Hold(kind, "until further notice"))) == REPORT


@pytest.mark.parametrize(
    "account",
    [
        replace(RESTING, fetched=None),
        replace(RESTING, state=None),
        replace(RESTING, after=None),
        replace(RESTING, health=None),
        replace(RESTING, pruned=None),
        replace(RESTING, failures=(SourceError("no route"),)),
        replace(RESTING, failures=(ReportError("not sent"),)),
        replace(RESTING, after=Plan(SHA, "d" * 64, (DeployPlan("files", (CHANGE,)),))),
        replace(RESTING, after=Plan(SHA, "d" * 64, (DeployPlan("files", unknown="later"),))),
        replace(RESTING, after=Plan(SHA, "d" * 64, (DeployPlan("files", error="no such user"),))),
        replace(RESTING, health=replace(HEALTH, symptoms=(Symptom("web.service has failed"),))),
        checked("command"),
        checked("http", "process"),
        replace(RESTING, pruned=Pruned(leaving=LEAVING)),
        replace(RESTING, pruned=Pruned(waits="it is not well", leaving=LEAVING)),
        replace(RESTING, pruned=Pruned(stayed={"web": "its on_remove failed"})),
        replace(RESTING, pruned=Pruned(failures=(SourceError("x"),))),
        replace(RESTING, rollback=Rollback(Bad("d" * 64, SHA, NOW, "harm"), SHA)),
        replace(RESTING, unsettled=True),
        replace(RESTING, switched=True),
        replace(RESTING, reboot=Reboot()),
        replace(RESTING, reboot=Reboot(Hold(HoldKind.REBOOT, "first has to converge"))),
        replace(RESTING, update=Hold(HoldKind.UPDATE, "a change is on trial")),
        replace(RESTING, hold=window(NOW)),
    ],
    ids=lambda _: "",
)
def test_a_host_with_something_to_do_does_not_rest(account: Account) -> None:
    assert until(account) == 0


def test_a_deploy_that_failed_a_trial_and_a_report_that_is_due_end_it() -> None:
    assert until(RESTING, State(attempts={"web": Attempt("d", 1, NOW + 60)})) == 0
    assert until(RESTING, on_trial=True) == 0
    assert until(RESTING, next_report=NOW) == 0
