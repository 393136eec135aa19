"""gate, choose and permit: what waits for a window, and what does not."""

from zoneinfo import ZoneInfo

from agent.domain.plan import Cause, Hold, HoldKind
from agent.domain.window import OPEN, Gate, Window, gate
from agent.steps.choose import choose
from agent.steps.permit import PermitRules, permit
from tests.steps.build import change, plan, planned
from tests.steps.test_choose import resolution

MONDAY_14_13 = 1_790_000_000  # 2026-09-21T14:13:20Z
EVENING = 1_790_020_800  # 20:00
HOUR = 3600
SHUT = Hold(HoldKind.WINDOW, "it is outside its windows; waits for the next one", EVENING)


def at_gate(*windows, budget_s=1860):
    return gate(windows, budget_s=budget_s, now=MONDAY_14_13, zone=ZoneInfo)


def test_a_host_that_no_window_names_is_always_open():
    assert at_gate() == OPEN


def test_outside_its_windows_a_host_waits_for_the_next_and_says_when_that_is():
    assert at_gate(Window((), 20 * 60, 4 * HOUR)) == Gate(SHUT, None)


def test_inside_a_window_nothing_waits():
    assert at_gate(Window((), 14 * 60, 4 * HOUR)) == OPEN


def test_nothing_begins_with_less_than_its_budget_left():
    closing = Window((), 14 * 60, HOUR // 2)
    hold = at_gate(closing, Window((), 20 * 60, 4 * HOUR)).intended
    assert hold.until == EVENING
    assert "less than the 1860 s" in hold.reason
    assert at_gate(closing, budget_s=60) == OPEN


def test_the_stricter_of_two_windows_says_what_becomes_of_drift():
    both = at_gate(Window((), 20 * 60, 4 * HOUR), Window((), 22 * 60, 4 * HOUR, holds_drift=True))
    assert both == Gate(SHUT, SHUT)


def test_a_window_in_a_zone_that_nobody_knows_is_shut():
    def unknown(_name):
        raise ValueError('no time zone is called "Mars/Phobos"')

    found = gate([Window((), 0, 24 * HOUR, "Mars/Phobos")], budget_s=1, now=MONDAY_14_13, zone=unknown)
    assert "Mars/Phobos" in found.intended.reason


def test_outside_a_window_the_host_stays_on_what_it_has():
    old, new = resolution("1"), resolution("2")
    aim = choose(old, new, suspension=None, gate=Gate(SHUT))
    assert (aim.resolution, aim.hold) == (old, SHUT)


def test_a_commit_that_changes_nothing_waits_for_no_window():
    old, new = resolution("1"), resolution("1", commit="b" * 40)
    assert choose(old, new, suspension=None, gate=Gate(SHUT)).resolution is new


def test_what_git_newly_wants_waits_and_a_repair_does_not():
    rules = PermitRules(gate=Gate(SHUT))
    assert permit(plan(planned(change(cause=Cause.INTENDED))), rules).held[0].hold == SHUT
    assert permit(plan(planned(unknown="no such user")), rules).deploy_holds == {"motd": SHUT}
    assert permit(plan(planned(change(cause=Cause.DRIFT))), rules).allowed
    assert permit(plan(planned(change(cause=Cause.INTERRUPTED))), rules).allowed


def test_a_repair_waits_where_the_windows_say_so():
    assert permit(plan(planned(change(cause=Cause.DRIFT))), PermitRules(gate=Gate(SHUT, SHUT))).held[0].hold == SHUT
