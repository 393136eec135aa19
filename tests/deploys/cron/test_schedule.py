from __future__ import annotations

import pytest

from agent.deploys.cron.spec import SCHEDULE_NAMES, normalised_schedule


@pytest.mark.parametrize(
    "schedule",
    [
        "15 3 * * *",
        "*/15 0-6,22,23 1-31/2 jan-mar,12 mon-fri",
        "0 0 29 2 0",
        "59 23 31 12 7",
        "0 0 * * SUN",
        *SCHEDULE_NAMES,
    ],
)
def test_what_cron_understands_is_taken_as_it_is(schedule: str) -> None:
    assert normalised_schedule(schedule) == schedule


def test_spaces_are_made_single() -> None:
    assert normalised_schedule(" 15\t3  * * * ") == "15 3 * * *"


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields and not five"),
        ("* * * * * root", "has 6 fields"),
        ("60 * * * *", "minute '60': a number from 0 to 59 is expected"),
        ("* 24 * * *", "hour '24': a number from 0 to 23"),
        ("* * 0 * *", "day of the month '0': a number from 1 to 31"),
        ("* * * 13 *", "month '13': a number from 1 to 12, or jan to dec"),
        ("* * * * 8", "day of the week '8': a number from 0 to 7, or sun to sat"),
        ("* * * may-jun sunday", "day of the week 'sunday'"),
        ("20-10 * * * *", "20 comes after 10"),
        ("5/10 * * * *", "write 5-59/10"),
        ("*/0 * * * *", "a step is a number from 1 to 59"),
        ("*/90 * * * *", "a step is a number from 1 to 59"),
        ("*-5 * * * *", "write *, a number, a range"),
        ("1,,2 * * * *", "minute '': write *"),
        ("٣ * * * *", "a number from 0 to 59"),
        ("@dayly", "there is no '@dayly'"),
        ("@every_minute", "five fields or one of @reboot"),
    ],
)
def test_what_it_would_pass_over_is_refused(schedule: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"expected|write|step|after|fields|there is no") as caught:
        normalised_schedule(schedule)
    assert complaint in str(caught.value)


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"minute '99'.*; hour '99'"):
        normalised_schedule("99 99 * * *")
