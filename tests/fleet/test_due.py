"""When reports go out: news at once, the rest when it is a host's turn."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from agent.domain.report import (
    Adoption,
    Commits,
    Digests,
    HostPhase,
    Problem,
    Report,
    ReportedChange,
    ReportedHealth,
    ReportedVitals,
)
from agent.fleet.due import heartbeat_s, next_send, slot_s, window_s
from tests.fleet.samples import NOW, report

HOUR = 3600
NEW = "f" * 40


def due(current: Report, last: Report | None, *, now: int = NOW + 60, heartbeat: int = HOUR, window: int = 0) -> bool:
    return next_send(current, last, now=now, heartbeat=heartbeat, window=window) <= now


def adopted(at: int) -> Report:
    commits = Commits(seen=NEW, trusted=NEW, aimed=NEW)
    return report(commits=commits, adopted=(Adoption(sha=NEW, at=at, soaked_s=0),))


def test_the_first_report_goes_out_at_once() -> None:
    assert due(report(), None, window=HOUR)


def test_a_host_with_nothing_to_say_waits_for_its_heartbeat() -> None:
    assert not due(report(sequence=2, at=NOW + 60), report())
    assert not due(report(sequence=2), report(), now=NOW + HOUR - 1)
    assert due(report(sequence=2), report(), now=NOW + HOUR)


def test_after_the_clock_went_back_a_host_does_not_wait_for_the_old_time() -> None:
    assert due(report(), report(), now=NOW - 1)


VITALS = ReportedVitals(**{field.name: 0 for field in dataclasses.fields(ReportedVitals)})
NEWS = {
    "a failure": report(
        phase=HostPhase.FAILED, problems=(Problem(kind="deploy-failed", message="x", consequence="retry", exit=7),)
    ),
    "drift": report(changes=(ReportedChange(deploy="f", resource="r", operation="o", cause="drift", state="done"),)),
    "a phase": report(phase=HostPhase.ATTEMPTING),
    "a digest": report(digests=Digests(aimed="cd" * 32)),
    "sickness": report(health=ReportedHealth(healthy=False, complaints=("x",), vitals=VITALS)),
    "a failed unit": report(health=ReportedHealth(healthy=True, failed_units=("x.service",), vitals=VITALS)),
    "a reboot that is needed": report(health=ReportedHealth(healthy=True, reboot_required=True, vitals=VITALS)),
    "an agent's update": report(agent_version="1.0.1"),
}


@pytest.mark.parametrize("news", NEWS.values(), ids=NEWS.keys())
def test_news_goes_out_at_once_however_big_the_fleet_is_and_so_does_its_end(news: Report) -> None:
    assert due(news, report(), window=24 * HOUR)
    assert due(report(), news, window=24 * HOUR)


@pytest.mark.parametrize("news", NEWS.values(), ids=NEWS.keys())
def test_news_is_told_once(news: Report) -> None:
    assert not due(dataclasses.replace(news, sequence=2, at=NOW + 60), news)


def test_a_failure_that_words_itself_anew_each_time_is_told_once() -> None:
    def failing(message: str) -> Report:
        return report(
            phase=HostPhase.FAILED, problems=(Problem(kind="x", message=message, consequence="retry", exit=7),)
        )

    assert not due(failing("pid 1 died"), failing("pid 2 died"))


def test_a_new_commit_that_a_small_fleet_is_well_on_goes_out_at_once() -> None:
    assert due(adopted(NOW + 60), report(), window=0)


def test_a_new_commit_that_a_big_fleet_is_well_on_waits_for_the_host_s_slot() -> None:
    window = 6 * HOUR
    slot = slot_s("web1", NEW, window)
    began = NOW + 60
    assert not due(adopted(began), report(), now=began + slot - 1, heartbeat=24 * HOUR, window=window)
    assert due(adopted(began), report(), now=began + slot, heartbeat=24 * HOUR, window=window)


def test_the_slots_of_ten_thousand_hosts_are_spread_evenly() -> None:
    window = window_s(10_000, 600)
    minutes = Counter(slot_s(f"web{number}", NEW, window) // 60 for number in range(10_000))
    assert len(minutes) == window // 60 + (window % 60 > 0)
    assert max(minutes.values()) < 720


def test_a_host_s_slot_differs_from_commit_to_commit() -> None:
    assert len({slot_s("web1", f"{number:040x}", 10_000) for number in range(20)}) > 15


@pytest.mark.parametrize(("hosts", "seconds"), [(1, 0), (6, 0), (7, 70), (100, 1000), (10_000, 100_000)])
def test_a_fleet_that_fits_into_a_minute_does_not_spread(hosts: int, seconds: int) -> None:
    assert window_s(hosts, 6) == seconds


@pytest.mark.parametrize(("hosts", "seconds"), [(1, 1800), (180, 1800), (360, 3600), (10_000, 100_000)])
def test_the_heartbeat_is_half_an_hour_or_what_the_fleet_needs(hosts: int, seconds: int) -> None:
    assert heartbeat_s(hosts, 6) == seconds
