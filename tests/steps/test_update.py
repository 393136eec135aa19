"""When another version of the agent is tried, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import agent
from agent.domain.account import Account, Reboot, Rollback, Trigger
from agent.domain.desired import DesiredState
from agent.domain.memory import Update, UpdateStage
from agent.domain.outcome import DeployOutcome, Outcome, Status
from agent.domain.pins import AgentPin
from agent.domain.plan import Hold, HoldKind
from agent.domain.trial import Bad
from agent.errors import DeployError, HealthError, ReportError, SourceError
from agent.steps.update import (
    LONGEST_BACKOFF_S,
    OLD_VERSION_TRIAL_S,
    after_revert,
    does_well,
    failed,
    obstacle,
    on_trial,
    waits,
)
from tests.steps.build import deploy, state

NOW = 1_790_000_000
PIN = AgentPin("0.2.0", ("hostwright==0.2.0 --hash=sha256:00",))
OTHER = AgentPin("0.3.0", ("hostwright==0.3.0 --hash=sha256:00",))


def held(account: Account, **more: object) -> Hold | None:
    return waits(account, **{"lacks": "", "pending": False, "unheard": False, "stopped": False, **more})


def test_on_a_host_that_is_calm_nothing_is_waited_for() -> None:
    assert held(Account()) is None


def test_it_waits_for_the_host_s_window() -> None:
    hold = held(Account(shut=Hold(HoldKind.WINDOW, "it is outside its windows", NOW + 60)))
    assert hold is not None
    assert (hold.kind, hold.until) == ("update", NOW + 60)


def test_it_waits_while_the_host_is_held() -> None:
    hold = held(Account(hold=Hold(HoldKind.SUSPENDED, "suspended on this host: disk", NOW + 60)))
    assert hold is not None
    assert ("disk" in hold.reason, hold.until) == (True, NOW + 60)


@pytest.mark.parametrize(
    ("account", "more"),
    [
        (Account(), {"pending": True}),
        (Account(), {"lacks": "no service"}),
        (Account(), {"stopped": True}),
        (Account(), {"unheard": True}),
        (Account(rollback=Rollback(Bad("d" * 64, "c" * 40, NOW, "harm"), "a" * 40)), {}),
        (Account(reboot=Reboot()), {}),
        (Account(failures=[SourceError("no route")]), {}),
    ],
    ids=[
        "a change on trial",
        "no service",
        "asked to end",
        "reports are not taken",
        "rolled back",
        "about to reboot",
        "no remote",
    ],
)
def test_it_never_comes_into_the_middle_of_something(account: Account, more: dict[str, object]) -> None:
    assert held(account, **more) is not None


def test_what_failed_to_install_is_tried_again_later_each_time_and_not_for_ever_later() -> None:
    update, delays = None, []
    for _ in range(12):
        update = failed(update, PIN, "no such index", now=NOW)
        delays.append(update.not_before - NOW)
    assert delays == sorted(delays)
    assert delays[0] < delays[1] < delays[-1] == LONGEST_BACKOFF_S


def test_until_then_the_reason_stands() -> None:
    update = failed(None, PIN, "no such index", now=NOW)
    told = obstacle(PIN, update, trigger=Trigger.CLOCK, now=NOW)
    assert told is not None
    assert (told.kind, told.message) == ("update-failed", "no such index")
    assert obstacle(PIN, update, trigger=Trigger.CLOCK, now=update.not_before) is None


def test_a_clock_that_was_wrong_puts_nothing_off_for_long() -> None:
    update = failed(None, PIN, "x", now=NOW + 10 * LONGEST_BACKOFF_S)
    assert obstacle(PIN, update, trigger=Trigger.CLOCK, now=NOW) is None


@pytest.mark.parametrize("stage", [UpdateStage.REVERTED, UpdateStage.BAD])
def test_what_was_switched_back_from_is_not_tried_again_and_said(stage: UpdateStage) -> None:
    told = obstacle(PIN, Update(PIN.version, PIN.name, PIN.digest, stage.value, NOW), trigger=Trigger.CLOCK, now=NOW)
    assert isinstance(told, HealthError)
    assert told.kind == "update-reverted"


def test_another_pin_begins_afresh() -> None:
    assert (
        obstacle(
            OTHER, Update(PIN.version, PIN.name, PIN.digest, UpdateStage.BAD.value, NOW), trigger=Trigger.CLOCK, now=NOW
        )
        is None
    )
    assert failed(failed(None, PIN, "x", now=NOW), OTHER, "y", now=NOW).failures == 1


def test_a_version_does_well_that_ends_as_the_one_before_it_and_reports() -> None:
    before = on_trial(PIN, Account(failures=[DeployError("nginx")]), None, now=NOW)
    assert does_well(Account(failures=[DeployError("nginx")]), before)
    assert does_well(Account(), before)


@pytest.mark.parametrize("failure", [DeployError("nginx"), HealthError("x"), ReportError("x"), SourceError("x")])
def test_one_that_is_worse_than_the_one_before_does_not(failure: Exception) -> None:
    assert not does_well(Account(failures=[failure]), on_trial(PIN, Account(), None, now=NOW))  # type: ignore[list-item]


def test_one_that_does_not_report_does_not_whatever_the_one_before_did() -> None:
    account = Account(failures=[ReportError("x")])
    assert not does_well(account, on_trial(PIN, account, None, now=NOW))


def test_where_going_back_helped_the_version_is_tried_once_more_and_then_never() -> None:
    once = after_revert(
        Update(PIN.version, PIN.name, PIN.digest, UpdateStage.REVERTED.value, NOW), helped=True, now=NOW
    )
    told = obstacle(PIN, once, trigger=Trigger.CLOCK, now=NOW)
    assert told is not None
    assert told.kind == "update-reverted"
    assert obstacle(PIN, once, trigger=Trigger.CLOCK, now=NOW + LONGEST_BACKOFF_S) is None
    again = on_trial(PIN, Account(), once, now=NOW)
    twice = after_revert(replace(again, stage=UpdateStage.REVERTED.value), helped=True, now=NOW)
    assert twice.stage == UpdateStage.BAD
    assert obstacle(PIN, twice, trigger=Trigger.CLOCK, now=NOW + 10 * LONGEST_BACKOFF_S) is not None


def test_a_person_does_not_wait() -> None:
    for stage in (UpdateStage.FAILED, UpdateStage.BAD):
        update = replace(failed(None, PIN, "x", now=NOW), stage=stage.value)
        assert obstacle(PIN, update, trigger=Trigger.CLOCK, now=NOW) is not None
        assert obstacle(PIN, update, trigger=Trigger.PERSON, now=NOW) is None


def test_what_is_worse_in_another_way_is_not_as_well(deploys: DesiredState) -> None:
    def with_failing(*names: str) -> Account:
        failing = tuple(DeployOutcome(name, Status.FAILED, (), "x") for name in names)
        return Account(
            state=deploys, outcome=Outcome(failing), failures=[DeployError(f"{name} failed") for name in names]
        )

    before = on_trial(PIN, with_failing("one"), None, now=NOW)
    assert does_well(with_failing("one"), before)
    assert not does_well(with_failing("one", "two"), before)


@pytest.fixture
def deploys() -> DesiredState:
    return state(deploy("one"), deploy("two"))


def test_where_it_did_not_the_version_is_tried_again_later() -> None:
    end = NOW + OLD_VERSION_TRIAL_S
    update = after_revert(
        Update(PIN.version, PIN.name, PIN.digest, UpdateStage.REVERTED.value, NOW), helped=False, now=end
    )
    assert obstacle(PIN, update, trigger=Trigger.CLOCK, now=end) is not None
    assert obstacle(PIN, update, trigger=Trigger.CLOCK, now=update.not_before) is None


def test_one_bad_cycle_of_the_version_gone_back_to_decides_nothing() -> None:
    update = Update(PIN.version, PIN.name, PIN.digest, UpdateStage.REVERTED.value, NOW)
    after = after_revert(update, helped=False, now=NOW + OLD_VERSION_TRIAL_S - 1)
    assert after == update
    assert after_revert(after, helped=True, now=NOW + OLD_VERSION_TRIAL_S).reverts == 1


def test_the_version_gone_back_to_has_as_long_as_the_new_one_had() -> None:
    timer = (Path(agent.__file__).parent / "host/units/hostwright-revert.timer").read_text()
    assert f"OnActiveSec={OLD_VERSION_TRIAL_S // 60}min\n" in timer


def test_that_it_was_switched_back_does_not_count_against_the_version_before() -> None:
    update = Update(PIN.version, PIN.name, PIN.digest, UpdateStage.REVERTED.value, NOW)
    told = obstacle(PIN, update, trigger=Trigger.CLOCK, now=NOW)
    assert told is not None
    assert does_well(Account(failures=[told]), update)
