import pytest

from agent.cli.commands.events import event_lines
from agent.domain.event import Event
from agent.host import events as module
from agent.host.events import Events


@pytest.fixture
def events(tmp_path):
    return Events(tmp_path / "events.jsonl")


def test_the_newest_events_come_oldest_first(events):
    events.add(Event(at, "kind", f"event {at}") for at in range(5))
    assert [event.at for event in events.last(2)] == [3, 4]


def test_an_event_comes_back_as_it_was_told(events):
    event = Event(5, "drift-repaired", "write /etc/motd", "files", "file:/etc/motd", "-a\n+b\n")
    events.add([event])
    assert events.last(1) == [event]


def test_a_torn_line_hides_no_other(events, tmp_path):
    events.add([Event(1, "kind", "first")])
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"at": 2, "ki')
    events.add([Event(3, "kind", "third")])
    assert [event.at for event in events.last(9)] == [1, 3]


def test_the_file_stays_within_its_limit(events, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SIZE_LIMIT", 4000)
    for at in range(200):
        events.add([Event(at, "kind", "x" * 50)])
    assert (tmp_path / "events.jsonl").stat().st_size <= 4200
    assert events.last(1)[0].at == 199


def test_a_long_diff_is_cut_and_says_so(events):
    events.add([Event(1, "kind", "m", diff="x" * (module.DIFF_LIMIT + 1))])
    assert events.last(1)[0].diff.endswith("… (cut)\n")


@pytest.mark.parametrize("at", ["1e999", "NaN", "9" * 5000, "[" * 100_000])
def test_a_line_with_a_number_that_is_none_hides_no_other(events, tmp_path, at):
    events.add([Event(1, "kind", "first")])
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write(f'{{"at": {at}, "kind": "kind", "message": "x"}}\n')
    assert [event.at for event in events.last(9)] == [1]


def test_an_event_of_no_year_and_of_many_lines_is_shown_below_its_own_time():
    shown = event_lines(Event(10**30, "failed", "no\n2026-01-01 00:00:00Z  applied  all", "app"), whole=True)
    assert shown == [
        "a time that no calendar has  failed               app: no",
        "    2026-01-01 00:00:00Z  applied  all",
    ]


def test_the_key_of_a_resource_begins_no_event_of_its_own():
    shown = event_lines(Event(0, "applied", "made", "app", "file:/etc/x\n2026-01-01 00:00:00Z  applied"), whole=True)
    assert shown == ["1970-01-01 00:00:00Z  applied              app file:/etc/x\\n2026-01-01 00:00:00Z  applied: made"]
