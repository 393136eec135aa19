"""systemctl-show.txt was written on a trixie host; its clock then is ``NOW``."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.unit_state import (
    Clock,
    LoadedUnit,
    UnitStep,
    WantedUnit,
    obstacle,
    parsed,
    started_at,
    step_behind,
    steps,
    undone,
)

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
Times = dict[str, int]
NEVER = Times()


@pytest.fixture
def units() -> dict[str, LoadedUnit]:
    text = (Path(__file__).parent / "systemctl-show.txt").read_text()
    socket = {"dbus.socket": LoadedUnit("loaded", active="active")}
    return {name.partition(".")[0]: found.triggered(socket) for name, found in parsed(text, NAMES).items()}


def needed(
    found: LoadedUnit, wanted: WantedUnit, *, same_file: bool = True, times: Times = NEVER, clock: Clock = NOW
) -> str:
    return ", ".join(steps(found, wanted, same_file=same_file, behind=step_behind(found, clock, **times)))


def test_the_start_of_a_unit_is_read_to_the_microsecond(units: dict[str, LoadedUnit]) -> None:
    assert (units["dbus"].started_us, units["dbus"].started_monotonic_us) == (STARTED, 8_335_116_421)


def test_an_answer_that_does_not_fit_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match="0 units, asked for 1"):
        parsed("", ["a.service"])


@pytest.mark.parametrize("name", ["dbus", "apt-daily"])
def test_a_unit_that_runs_and_starts_at_boot_needs_nothing(units: dict[str, LoadedUnit], name: str) -> None:
    assert needed(units[name], WantedUnit(running=True, enabled=True)) == ""


def test_a_unit_that_is_stopped_and_disabled_is_brought_up(units: dict[str, LoadedUnit]) -> None:
    stopped = dataclasses.replace(units["tick"], file_state="disabled")
    assert needed(stopped, WantedUnit(running=True, enabled=True)) == "enable, start"


def test_a_unit_enabled_until_the_next_boot_only_is_enabled_for_good(units: dict[str, LoadedUnit]) -> None:
    until_boot = dataclasses.replace(units["dbus"], file_state="enabled-runtime")
    assert needed(until_boot, WantedUnit(enabled=True)) == "enable"
    assert needed(until_boot, WantedUnit(enabled=False)) == "disable"


def test_a_mask_until_the_next_boot_only_is_put_on_for_good_and_taken_away(units: dict[str, LoadedUnit]) -> None:
    until_boot = dataclasses.replace(units["hwclock"], file_state="masked-runtime")
    assert needed(until_boot, WantedUnit(masked=True)) == "mask"
    assert needed(until_boot, WantedUnit(masked=False)) == "unmask"


@pytest.mark.parametrize("state", ["static", "generated", "transient", "indirect"])
def test_a_unit_that_cannot_be_enabled_starts_at_boot_where_another_starts_it(
    units: dict[str, LoadedUnit], state: str
) -> None:
    alone = dataclasses.replace(units["dbus"], file_state=state, on_demand=False)
    assert not alone.starts_at_boot
    assert dataclasses.replace(alone, on_demand=True).starts_at_boot
    assert dataclasses.replace(alone, wanters=frozenset({"multi-user.target"})).starts_at_boot


@pytest.mark.parametrize(
    ("timer", "starts"),
    [
        ({"file_state": "disabled"}, False),
        ({"file_state": "enabled"}, True),
        ({"file_state": "disabled", "active": "active"}, True),
        ({"file_state": "static", "wanters": frozenset({"timers.target"})}, True),
    ],
)
def test_a_static_unit_starts_at_boot_where_what_triggers_it_runs_or_starts_at_boot(
    timer: dict[str, Any], starts: bool
) -> None:
    unit = LoadedUnit("loaded", file_state="static", triggers=frozenset({"a.timer"}))
    assert unit.triggered({"a.timer": LoadedUnit("loaded", **timer)}).starts_at_boot is starts


def test_what_no_command_can_enable_or_disable_is_said(units: dict[str, LoadedUnit]) -> None:
    static = dataclasses.replace(units["dbus"], on_demand=False)
    mount = dataclasses.replace(static, id="srv.mount", file_state="generated", source="/etc/fstab")
    wanted = dataclasses.replace(mount, wanters=frozenset({"local-fs.target"}))
    assert obstacle(static, WantedUnit(enabled=True), ()) == (
        "dbus.service has no [Install] section, and nothing starts it at boot: it cannot be enabled"
    )
    assert obstacle(wanted, WantedUnit(enabled=False), {"local-fs.target"}) == (
        "srv.mount is made of /etc/fstab, and local-fs.target starts it at boot: it cannot be disabled, only masked"
    )
    assert obstacle(wanted, WantedUnit(enabled=False), ()) == "", "what does not run starts nothing"
    assert obstacle(mount, WantedUnit(enabled=False), ()) == obstacle(wanted, WantedUnit(enabled=True), ()) == ""


def test_what_systemctl_said_it_had_done_is_looked_at(units: dict[str, LoadedUnit]) -> None:
    assert undone(units["dbus"], {UnitStep.STOP, UnitStep.ENABLE}) is UnitStep.STOP
    assert undone(units["hwclock"], {UnitStep.MASK, UnitStep.STOP}) is None
    assert undone(units["hwclock"], {UnitStep.UNMASK}) is UnitStep.UNMASK


def test_a_unit_that_should_not_run_is_stopped_and_disabled(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["apt-daily"], WantedUnit(running=False, enabled=False)) == "disable, stop"


def test_a_unit_that_does_not_exist_neither_runs_nor_is_enabled(units: dict[str, LoadedUnit]) -> None:
    assert not units["nosuch"].exists
    assert needed(units["nosuch"], WantedUnit(running=False, enabled=False)) == ""


def test_a_unit_that_only_waits_to_crash_again_does_not_run(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["loop"], WantedUnit(running=True)) == "start"
    assert needed(units["loop"], WantedUnit(running=False)) == "stop"


def test_a_mask_comes_and_goes_on_wish(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["hwclock"], WantedUnit(masked=True)) == ""
    assert needed(units["hwclock"], WantedUnit(masked=False)) == "unmask"
    assert needed(units["dbus"], WantedUnit(masked=True, running=False)) == "stop, mask"


def test_a_masked_unit_that_should_run_is_unmasked_first(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["hwclock"], WantedUnit(running=True, enabled=True)) == "unmask, enable, start"


def test_what_is_not_mentioned_is_left_alone(units: dict[str, LoadedUnit]) -> None:
    assert [needed(found, WantedUnit()) for found in units.values()] == [""] * len(units)


def test_a_new_unit_file_is_read_before_the_unit_starts(units: dict[str, LoadedUnit]) -> None:
    wanted = WantedUnit(running=True, enabled=True, content="x")
    assert needed(units["nosuch"], wanted, same_file=False) == "write unit file, daemon-reload, enable, start"


def test_a_changed_unit_file_restarts_the_running_unit(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["dbus"], WantedUnit(content="x"), same_file=False) == "write unit file, daemon-reload, restart"
    assert needed(units["tick"], WantedUnit(content="x"), same_file=False) == "write unit file, daemon-reload"


def test_a_changed_drop_in_is_read_and_restarts_the_running_unit(units: dict[str, LoadedUnit]) -> None:
    changed = {"same_file": True, "same_drop_ins": False}
    assert steps(units["dbus"], WantedUnit(), **changed) == (UnitStep.REREAD, UnitStep.RESTART)
    assert steps(units["tick"], WantedUnit(), **changed) == (UnitStep.REREAD,)


def test_a_drop_in_that_was_written_but_not_read_is_read(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["sleeper"], WantedUnit(drop_ins=("/x.conf",))) == "daemon-reload"


def test_a_unit_file_in_place_of_a_mask_is_all_it_takes(units: dict[str, LoadedUnit]) -> None:
    wanted = WantedUnit(running=True, content="x")
    assert needed(units["hwclock"], wanted, same_file=False) == "write unit file, daemon-reload, start"


def test_a_unit_file_that_was_written_but_not_read_is_read(units: dict[str, LoadedUnit]) -> None:
    assert units["sleeper"].stale
    assert needed(units["sleeper"], WantedUnit(content="x", running=True)) == "daemon-reload"


def test_a_file_changed_after_the_start_restarts(units: dict[str, LoadedUnit]) -> None:
    before, after = Times(restart_us=STARTED - SECOND), Times(restart_us=STARTED + SECOND)
    assert needed(units["dbus"], WantedUnit(running=True), times=before) == ""
    assert needed(units["dbus"], WantedUnit(running=True), times=after) == "restart"
    assert needed(units["dbus"], WantedUnit(), times=after) == "restart"
    assert needed(units["tick"], WantedUnit(), times=after) == ""
    assert needed(units["tick"], WantedUnit(running=True), times=after) == "start"
    assert needed(units["dbus"], WantedUnit(running=False), times=after) == "stop"


def test_a_change_that_a_coarse_clock_stamped_just_before_the_start_counts(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["dbus"], WantedUnit(running=True), times=Times(restart_us=STARTED - 4000)) == "restart"


def test_a_reload_counts_until_the_file_changes_again(units: dict[str, LoadedUnit]) -> None:
    changed = STARTED + SECOND
    assert needed(units["dbus"], WantedUnit(), times=Times(reload_us=changed)) == "reload"
    assert needed(units["dbus"], WantedUnit(), times=Times(reload_us=changed, reloaded_us=changed + SECOND)) == ""
    assert (
        needed(units["dbus"], WantedUnit(), times=Times(reload_us=changed + 2 * SECOND, reloaded_us=changed))
        == "reload"
    )


def test_a_restart_makes_the_reload_needless(units: dict[str, LoadedUnit]) -> None:
    times = Times(restart_us=STARTED + SECOND, reload_us=STARTED + SECOND)
    assert needed(units["dbus"], WantedUnit(), times=times) == "restart"


def test_a_file_from_the_future_does_not_restart_at_every_look(units: dict[str, LoadedUnit]) -> None:
    assert needed(units["dbus"], WantedUnit(), times=Times(restart_us=NOW.wall_us + SECOND)) == ""


@pytest.mark.parametrize("jump_s", [-86400, 0, 86400])
def test_the_start_follows_a_clock_that_was_set(units: dict[str, LoadedUnit], jump_s: int) -> None:
    clock = dataclasses.replace(NOW, wall_us=NOW.wall_us + jump_s * SECOND, boottime_us=NOW.monotonic_us)
    assert started_at(units["dbus"], clock) == STARTED + jump_s * SECOND


def test_the_start_does_not_move_while_the_machine_is_suspended(units: dict[str, LoadedUnit]) -> None:
    nap = 8 * 3600 * SECOND
    clock = Clock(NOW.wall_us + nap, NOW.monotonic_us, NOW.monotonic_us + nap)
    assert started_at(units["dbus"], clock) == STARTED


def test_steps_come_in_the_order_in_which_they_work() -> None:
    order = list(UnitStep)
    assert order.index(UnitStep.UNMASK) < order.index(UnitStep.ENABLE) < order.index(UnitStep.START)
    assert order.index(UnitStep.STOP) < order.index(UnitStep.MASK)
