"""revoke: access that goes at once, whatever keeps the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.domain.memory import AppliedDeploy
from agent.domain.plan import Hold, HoldKind, Plan
from agent.domain.removal import Leaving
from agent.errors import DeployError
from tests.steps.build import change, deploy, health, plan, planned, state
from tests.steps.pruning import Host, Opening, host_below, opening


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return host_below(tmp_path)


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Opening:
    return opening(monkeypatch)


@pytest.mark.parametrize(
    "what",
    [
        {"health": health("nginx.service has failed")},
        {"failures": [DeployError("motd failed")]},
        {"after": plan(planned(change()))},
        {"after": None},
    ],
    ids=lambda what: next(iter(what)),
)
def test_access_goes_at_once_whatever_else_keeps_removals_waiting(
    host: Host, access: Opening, what: dict[str, Any]
) -> None:
    keys = [host.gave("ann"), host.gave("bob", deploy="app")]
    host.told = replace(host.told, **what)
    pruned = host.prune()
    assert (access.revoked, pruned.revoked, pruned.done) == (keys, tuple(keys), ())
    assert host.prune().revoked == (), "it is told once"


@pytest.mark.parametrize(
    "after",
    [None, plan(planned(deploy="app", error="no module named x")), plan(planned(deploy="app", unknown="later"))],
    ids=["stopped", "failed", "later"],
)
def test_nobody_is_locked_out_by_a_plan_that_was_not_made(host: Host, access: Opening, after: Plan | None) -> None:
    app = deploy("app", resources=(), source="deploys/app.py")
    host.gave("new", deploy="app")
    moved = host.gave("moved", deploy="before")
    host.deploys["app"] = AppliedDeploy(app.digest, owned=(moved,))
    host.told = replace(host.told, state=state(app), after=after, applied=host.deploys if after else {})
    left = host.gave("left", deploy="gone")
    assert (host.prune().revoked, access.revoked) == ((left,), [left])


def test_access_goes_while_the_removal_waits_for_an_on_remove(host: Host, access: Opening) -> None:
    host.left()
    key = host.gave("ann", deploy="app")
    host.engine.work = lambda: "exit status 1"
    assert host.prune().revoked == (key,)


def test_nobody_is_locked_out_by_what_looks_like_a_mistake(host: Host, access: Opening) -> None:
    host.idle["late"] = "site.yaml:5 is for hosts: late"
    host.gave("ann", deploy="late")
    assert (host.prune().revoked, access.revoked) == ((), [])


@pytest.mark.parametrize("what", ["hold", "shut"])
def test_a_host_that_a_person_said_to_leave_alone_is_left_alone(host: Host, access: Opening, what: str) -> None:
    host.gave("ann")
    host.told = replace(host.told, **{what: Hold(HoldKind.SUSPENDED, "the disk is being replaced")})
    assert (host.prune().revoked, access.revoked) == ((), [])


def test_access_that_cannot_be_taken_is_a_problem_and_keeps_no_other(host: Host, access: Opening) -> None:
    keys = [host.gave("ann"), host.gave("bob")]
    access.stubborn = ("its keys could not be taken: no",)
    pruned = host.prune()
    assert access.revoked == keys
    assert [(failure.kind, failure.message) for failure in pruned.failures] == [
        ("not-revoked", f"{key}: its keys could not be taken: no") for key in keys
    ]


def test_nobody_is_locked_out_whose_removal_a_policy_denies(host: Host, access: Opening) -> None:
    host.gave("ann")
    kept = Hold(HoldKind.POLICY, "ann stays")

    def held(leaving: Leaving) -> Leaving:
        return Leaving(tuple(replace(each, hold=kept) for each in leaving.removals))

    pruned = host.prune(hold_denied=held, hold_named=held)
    assert (pruned.revoked, access.revoked) == ((), [])
