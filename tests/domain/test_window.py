"""When windows are open: against a calendar that looks at each minute, and on the nights when clocks are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain import codec
from agent.domain.window import Opening, Window, calendar, first_moment, next_start
from tests.drawing import cases

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
HOUR = 3600

windows = st.builds(
    Window,
    days=st.lists(st.integers(0, 6), max_size=3, unique=True).map(tuple),
    from_minute=st.integers(0, 1439),
    for_s=st.integers(1, 3 * 1440).map(lambda minutes: minutes * 60),
    tz=st.sampled_from(ZONES),
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def open_at(each: Window, moment: int) -> bool:
    """The long way: whether one of the minutes before, as far back as it lasts, is one at which it begins."""
    zone = ZoneInfo(each.tz)
    for minute in range(moment // 60 * 60, moment - each.for_s, -60):
        shown, before = (datetime.fromtimestamp(when, zone) for when in (minute, minute - 60))
        begins = shown.replace(hour=each.from_minute // 60, minute=each.from_minute % 60, tzinfo=None, fold=0)
        crossed = before.replace(tzinfo=None) < begins <= shown.replace(tzinfo=None)
        first = before.date() != shown.date() and begins == shown.replace(tzinfo=None, fold=0)
        if (crossed or first) and not shown.fold and (not each.days or shown.weekday() in each.days):
            return True
    return False


@cases(60)
@given(windows, st.integers(at("2026-01-01T00:00Z") // 60, at("2027-12-31T00:00Z") // 60))
def test_a_window_is_open_when_a_walk_through_its_minutes_says_so(each: Window, minute: int) -> None:
    moment = minute * 60
    openings = calendar([each], moment, ZoneInfo)
    assert any(one.start <= moment < one.end for one in openings) == open_at(each, moment)


@cases(60)
@given(st.lists(windows, min_size=1, max_size=3), st.integers(at("2026-01-01T00:00Z"), at("2027-12-31T00:00Z")))
def test_openings_follow_one_another_apart_and_there_is_always_a_next(several: list[Window], moment: int) -> None:
    openings = calendar(several, moment, ZoneInfo)
    assert openings
    assert all(one.start < one.end and one.end > moment for one in openings)
    assert all(one.end < other.start for one, other in pairwise(openings))


@pytest.mark.parametrize(
    ("day", "clock", "zone", "moment"),
    [
        ("2026-03-29", "02:30", "Europe/Berlin", "2026-03-29T03:00+02:00"),  # 02:00 to 03:00 is not there
        ("2026-10-25", "02:30", "Europe/Berlin", "2026-10-25T02:30+02:00"),  # there twice: the first
        ("2026-10-04", "02:15", "Australia/Lord_Howe", "2026-10-04T02:30+11:00"),  # half an hour is not there
        ("2026-06-01", "02:30", "Europe/Berlin", "2026-06-01T02:30+02:00"),
    ],
)
def test_it_begins_at_the_first_moment_that_shows_its_time_or_a_later_one(
    day: str, clock: str, zone: str, moment: str
) -> None:
    hours, minutes = map(int, clock.split(":"))
    found = first_moment(datetime.fromisoformat(day).date(), hours * 60 + minutes, ZoneInfo(zone))
    assert datetime.fromtimestamp(found, UTC) == datetime.fromisoformat(moment)


def test_it_lasts_as_long_on_nights_when_clocks_are_set() -> None:
    for night in ("2026-03-29", "2026-10-25", "2026-06-01"):
        moment = at(f"{night}T01:00+00:00")
        (opening, *_) = calendar([Window((), 60, 4 * HOUR, "Europe/Berlin")], moment, ZoneInfo)
        assert opening.end - opening.start == 4 * HOUR


def test_one_that_begins_on_sunday_evening_is_open_on_monday() -> None:
    monday = at("2026-09-21T01:00Z")
    (opening, *_) = calendar([Window((6,), 22 * 60, 4 * HOUR)], monday, ZoneInfo)
    assert opening == Opening(at("2026-09-20T22:00Z"), at("2026-09-21T02:00Z"))


def test_those_that_overlap_or_adjoin_are_one() -> None:
    several = [Window((), 60, HOUR), Window((), 120, HOUR), Window((), 150, HOUR)]
    (opening, *_) = calendar(several, at("2026-09-21T01:30Z"), ZoneInfo)
    assert opening == Opening(at("2026-09-21T01:00Z"), at("2026-09-21T03:30Z"))


def test_what_needs_more_than_is_left_waits_for_the_next_that_is_long_enough() -> None:
    openings = (Opening(0, 100), Opening(200, 230), Opening(300, 400))
    assert next_start(openings, 10, 90) == 10
    assert next_start(openings, 11, 90) == 300
    assert next_start(openings, 11, 101) is None


def test_it_survives_being_remembered() -> None:
    each = Window((5, 6), 120, 4 * HOUR, "Europe/Berlin", holds_drift=True)
    data = {"days": [5, 6], "from_minute": 120, "for_s": 4 * HOUR, "tz": "Europe/Berlin", "holds_drift": True, "new": 1}
    assert codec.from_plain(data, Window) == each
    assert timedelta(seconds=each.for_s) == timedelta(hours=4)
