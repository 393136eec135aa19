"""systemctl-show.txt was written on a trixie host; its clock then is ``NOW``."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.deploys.units import Clock, Found, Step, Times, Wanted, obstacle, parsed, started_at, steps, undone

NAMES = (
    "sleeper.service",
    "loop.service",
    "nosuch.service",
    "hwclock.service",
    "dbus.service",
    "apt-daily.timer",
    "tick.service",
)
SECOND = 1_000_000
STARTED = int(datetime(2026, 11, 22, 19, 20, 35, tzinfo=UTC).timestamp()) * SECOND + 708_811
NOW = Clock(wall_us=STARTED + 3600 * SECOND, monotonic_us=8_335_116_421 + 3600 * SECOND, boottime_us=0)
NEVER = Times()


@pytest.fixture
def units() -> dict[str, Found]:
    text = (Path(__file__).parent / "systemctl-show.txt").read_text()
    return {name.partition(".")[0]: found for name, found in parsed(text, NAMES).items()}


def needed(found: Found, wanted: Wanted, *, same_file: bool = True, times: Times = NEVER, clock: Clock = NOW) -> str:
    return ", ".join(steps(found, wanted, same_file=same_file, times=times, clock=clock))


def test_the_start_of_a_unit_is_read_to_the_microsecond(units: dict[str, Found]) -> None:
    assert (units["dbus"].started_us, units["dbus"].started_monotonic_us) == (STARTED, 8_335_116_421)


def test_an_answer_that_does_not_fit_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match="0 units, asked for 1"):
        parsed("", ["a.service"])


@pytest.mark.parametrize("name", ["dbus", "apt-daily"])
def test_a_unit_that_runs_and_starts_at_boot_needs_nothing(units: dict[str, Found], name: str) -> None:
    assert needed(units[name], Wanted(running=True, enabled=True)) == ""


def test_a_unit_that_is_stopped_and_disabled_is_brought_up(units: dict[str, Found]) -> None:
    stopped = dataclasses.replace(units["tick"], file_state="disabled")
    assert needed(stopped, Wanted(running=True, enabled=True)) == "enable, start"


def test_a_unit_enabled_until_the_next_boot_only_is_enabled_for_good(units: dict[str, Found]) -> None:
    until_boot = dataclasses.replace(units["dbus"], file_state="enabled-runtime")
    assert needed(until_boot, Wanted(enabled=True)) == "enable"
    assert needed(until_boot, Wanted(enabled=False)) == "disable"


def test_a_mask_until_the_next_boot_only_is_put_on_for_good_and_taken_away(units: dict[str, Found]) -> None:
    until_boot = dataclasses.replace(units["hwclock"], file_state="masked-runtime")
    assert needed(until_boot, Wanted(masked=True)) == "mask"
    assert needed(until_boot, Wanted(masked=False)) == "unmask"


@pytest.mark.parametrize("state", ["static", "generated", "transient", "indirect"])
def test_a_unit_that_cannot_be_enabled_starts_at_boot_where_another_starts_it(
    units: dict[str, Found], state: str
) -> None:
    alone = dataclasses.replace(units["dbus"], file_state=state, on_demand=False)
    assert not alone.starts_at_boot
    assert dataclasses.replace(alone, on_demand=True).starts_at_boot
    assert dataclasses.replace(alone, wanters=frozenset({"multi-user.target"})).starts_at_boot


def test_what_no_command_can_enable_or_disable_is_said(units: dict[str, Found]) -> None:
    static = dataclasses.replace(units["dbus"], on_demand=False)
    mount = dataclasses.replace(static, id="srv.mount", file_state="generated", source="/etc/fstab")
    wanted = dataclasses.replace(mount, wanters=frozenset({"local-fs.target"}))
    assert obstacle(static, Wanted(enabled=True), ()) == (
        "dbus.service has no [Install] section, and nothing starts it at boot: it cannot be enabled"
    )
    assert obstacle(wanted, Wanted(enabled=False), {"local-fs.target"}) == (
        "srv.mount is made of /etc/fstab, and local-fs.target starts it at boot: it cannot be disabled, only masked"
    )
    assert obstacle(wanted, Wanted(enabled=False), ()) == "", "what does not run starts nothing"
    assert obstacle(mount, Wanted(enabled=False), ()) == obstacle(wanted, Wanted(enabled=True), ()) == ""


def test_what_systemctl_said_it_had_done_is_looked_at(units: dict[str, Found]) -> None:
    assert undone(units["dbus"], {Step.STOP, Step.ENABLE}) is Step.STOP
    assert undone(units["hwclock"], {Step.MASK, Step.STOP}) is None
    assert undone(units["hwclock"], {Step.UNMASK}) is Step.UNMASK


def test_a_unit_that_should_not_run_is_stopped_and_disabled(units: dict[str, Found]) -> None:
    assert needed(units["apt-daily"], Wanted(running=False, enabled=False)) == "disable, stop"


def test_a_unit_that_does_not_exist_neither_runs_nor_is_enabled(units: dict[str, Found]) -> None:
    assert not units["nosuch"].exists
    assert needed(units["nosuch"], Wanted(running=False, enabled=False)) == ""


def test_a_unit_that_only_waits_to_crash_again_does_not_run(units: dict[str, Found]) -> None:
    assert needed(units["loop"], Wanted(running=True)) == "start"
    assert needed(units["loop"], Wanted(running=False)) == "stop"


def test_a_mask_comes_and_goes_on_wish(units: dict[str, Found]) -> None:
    assert needed(units["hwclock"], Wanted(masked=True)) == ""
    assert needed(units["hwclock"], Wanted(masked=False)) == "unmask"
    assert needed(units["dbus"], Wanted(masked=True, running=False)) == "stop, mask"


def test_a_masked_unit_that_should_run_is_unmasked_first(units: dict[str, Found]) -> None:
    assert needed(units["hwclock"], Wanted(running=True, enabled=True)) == "unmask, enable, start"


def test_what_is_not_mentioned_is_left_alone(units: dict[str, Found]) -> None:
    assert [needed(found, Wanted()) for found in units.values()] == [""] * len(units)


def test_a_new_unit_file_is_read_before_the_unit_starts(units: dict[str, Found]) -> None:
    wanted = Wanted(running=True, enabled=True, content="x")
    assert needed(units["nosuch"], wanted, same_file=False) == "write unit file, daemon-reload, enable, start"


def test_a_changed_unit_file_restarts_the_running_unit(units: dict[str, Found]) -> None:
    assert needed(units["dbus"], Wanted(content="x"), same_file=False) == "write unit file, daemon-reload, restart"
    assert needed(units["tick"], Wanted(content="x"), same_file=False) == "write unit file, daemon-reload"


def test_a_changed_drop_in_is_read_and_restarts_the_running_unit(units: dict[str, Found]) -> None:
    changed = {"times": NEVER, "clock": NOW, "same_file": True, "same_drop_ins": False}
    assert steps(units["dbus"], Wanted(), **changed) == (Step.REREAD, Step.RESTART)  # type: ignore[arg-type]
    assert steps(units["tick"], Wanted(), **changed) == (Step.REREAD,)  # type: ignore[arg-type]


def test_a_drop_in_that_was_written_but_not_read_is_read(units: dict[str, Found]) -> None:
    assert needed(units["sleeper"], Wanted(drop_ins=("/x.conf",))) == "daemon-reload"


def test_a_unit_file_in_place_of_a_mask_is_all_it_takes(units: dict[str, Found]) -> None:
    wanted = Wanted(running=True, content="x")
    assert needed(units["hwclock"], wanted, same_file=False) == "write unit file, daemon-reload, start"


def test_a_unit_file_that_was_written_but_not_read_is_read(units: dict[str, Found]) -> None:
    assert units["sleeper"].stale
    assert needed(units["sleeper"], Wanted(content="x", running=True)) == "daemon-reload"


def test_a_file_changed_after_the_start_restarts(units: dict[str, Found]) -> None:
    before, after = Times(restart_us=STARTED - SECOND), Times(restart_us=STARTED + SECOND)
    assert needed(units["dbus"], Wanted(running=True), times=before) == ""
    assert needed(units["dbus"], Wanted(running=True), times=after) == "restart"
    assert needed(units["dbus"], Wanted(), times=after) == "restart"
    assert needed(units["tick"], Wanted(), times=after) == ""
    assert needed(units["tick"], Wanted(running=True), times=after) == "start"
    assert needed(units["dbus"], Wanted(running=False), times=after) == "stop"


def test_a_change_that_a_coarse_clock_stamped_just_before_the_start_counts(units: dict[str, Found]) -> None:
    assert needed(units["dbus"], Wanted(running=True), times=Times(restart_us=STARTED - 4000)) == "restart"


def test_a_reload_counts_until_the_file_changes_again(units: dict[str, Found]) -> None:
    changed = STARTED + SECOND
    assert needed(units["dbus"], Wanted(), times=Times(reload_us=changed)) == "reload"
    assert needed(units["dbus"], Wanted(), times=Times(reload_us=changed, reloaded_us=changed + SECOND)) == ""
    assert needed(units["dbus"], Wanted(), times=Times(reload_us=changed + 2 * SECOND, reloaded_us=changed)) == "reload"


def test_a_restart_makes_the_reload_needless(units: dict[str, Found]) -> None:
    times = Times(restart_us=STARTED + SECOND, reload_us=STARTED + SECOND)
    assert needed(units["dbus"], Wanted(), times=times) == "restart"


def test_a_file_from_the_future_does_not_restart_at_every_look(units: dict[str, Found]) -> None:
    assert needed(units["dbus"], Wanted(), times=Times(restart_us=NOW.wall_us + SECOND)) == ""


@pytest.mark.parametrize("jump_s", [-86400, 0, 86400])
def test_the_start_follows_a_clock_that_was_set(units: dict[str, Found], jump_s: int) -> None:
    clock = dataclasses.replace(NOW, wall_us=NOW.wall_us + jump_s * SECOND, boottime_us=NOW.monotonic_us)
    assert started_at(units["dbus"], clock) == STARTED + jump_s * SECOND


def test_the_start_does_not_move_while_the_machine_is_suspended(units: dict[str, Found]) -> None:
    nap = 8 * 3600 * SECOND
    clock = Clock(NOW.wall_us + nap, NOW.monotonic_us, NOW.monotonic_us + nap)
    assert started_at(units["dbus"], clock) == STARTED


def test_steps_come_in_the_order_in_which_they_work() -> None:
    order = list(Step)
    assert order.index(Step.UNMASK) < order.index(Step.ENABLE) < order.index(Step.START)
    assert order.index(Step.STOP) < order.index(Step.MASK)
