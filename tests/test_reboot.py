"""When a host that needs a reboot gets it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.account import Account, Reboot, Trigger
from agent.domain.health import Health
from agent.domain.plan import Hold, HoldKind, Plan
from agent.ending import REBOOT_AGAIN_S, needed_reboot
from agent.errors import DeployError
from agent.steps.probe import assess
from agent.system import host
from tests.steps.build import deploy, state

NOW = 1_790_000_000


@pytest.fixture
def health(tmp_path) -> Health:
    return assess(host.vitals(tmp_path), (), (), reboot_required=True)


@pytest.fixture
def account(health: Health) -> Account:
    """Of a cycle after which all is well, on a host that needs a reboot."""
    wanted = state(deploy())
    plan = Plan(wanted.commit, wanted.digest, ())
    return Account(state=wanted, plan=plan, after=plan, health=health)


def decided(account: Account, **more) -> Reboot | None:
    given = {"allowed": True, "rebooted": 0, "pending": False, "trigger": Trigger.CLOCK, "now": NOW}
    return needed_reboot(account, **{**given, **more})


def waits(decision: Reboot | None) -> str:
    assert decision is not None
    assert decision.hold is not None
    return decision.hold.reason


def test_a_converged_host_goes_down(account):
    assert decided(account) == Reboot()


def test_a_host_that_needs_none_stays_up(account, health):
    account = replace(account, health=replace(health, reboot_required=False))
    assert decided(account) is None


def test_a_host_that_is_never_to_reboot_stays_up(account):
    assert decided(account, allowed=False) is None


def test_it_waits_for_its_window(account):
    account = replace(account, shut=Hold(HoldKind.WINDOW, "it is outside its windows", NOW + 60))
    decision = decided(account)
    assert "windows" in waits(decision)
    assert decision.hold.until == NOW + 60


def test_it_waits_for_a_host_that_has_not_converged(account):
    account = replace(account, failures=[DeployError("nginx failed")])
    assert "failed" in waits(decided(account))


def test_it_waits_for_a_host_that_is_suspended(account):
    account = replace(account, hold=Hold(HoldKind.SUSPENDED, "disk"))
    assert "waiting" in waits(decided(account))


def test_it_waits_for_a_change_on_trial(account):
    assert "trial" in waits(decided(account, pending=True))


def test_a_host_that_needs_it_again_at_once_is_not_rebooted_again(account):
    decision = decided(account, rebooted=NOW - 60)
    assert "look why" in waits(decision)
    assert decision.hold.until == NOW - 60 + REBOOT_AGAIN_S


@pytest.mark.parametrize("rebooted", [NOW - REBOOT_AGAIN_S, NOW + 60])
def test_a_reboot_long_ago_or_by_a_clock_that_was_wrong_keeps_none_from_it(account, rebooted):
    assert decided(account, rebooted=rebooted) == Reboot()


def test_whoever_runs_a_cycle_by_hand_is_not_thrown_out(account):
    assert "daemon" in waits(decided(account, trigger=Trigger.PERSON))
