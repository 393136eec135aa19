"""status: strangers' words and numbers in a table, and who is in it."""

from __future__ import annotations

import itertools
import json
import string
from pathlib import Path
from typing import Any

import pytest

from agent.cli.commands.status import COLUMNS, row, withheld
from agent.cli.output import Output
from agent.domain import codec
from agent.domain.codec import Mismatch
from agent.domain.host_phase import HostPhase
from agent.domain.plan import Hold, HoldKind
from agent.domain.report import LATEST, Adoption, Commits, Problem, Report, ReportedHold
from agent.domain.status import (
    CLOCKS_DIFFER_S,
    LONGEST_SILENCE_S,
    HostStatus,
    ReportVerdict,
    encode,
    report_path,
)
from agent.fleet.reader import belongs, judge_all, parse
from agent.fleet.render import readme
from agent.fleet_view import FleetView
from tests.cli.terminal import Terminal
from tests.fleet import hostile, samples
from tests.fleet.samples import NOW, report

HOSTILE_REPORTS = 10_000


def status(told: Report, verdict: ReportVerdict = ReportVerdict.VERIFIED) -> HostStatus:
    return HostStatus(told.host, told, verdict, "", report_path(told.host))


def shown(**changed: Any) -> dict[str, str]:
    """One row of the table, by column."""
    return dict(zip(COLUMNS, row(status(report(**changed)), NOW), strict=True))


def test_ten_thousand_hostile_reports_are_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = (status(hostile.report(seed)) for seed in range(HOSTILE_REPORTS))
    Output().show_table(COLUMNS, (row(each, NOW) for each in fleet))
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) == HOSTILE_REPORTS + 1
    assert all(line.isprintable() for line in lines)


def test_hostile_reports_are_an_envelope_that_programs_read_and_no_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports = [codec.to_plain(hostile.report(seed)) for seed in range(300)]
    Output(as_json=True).envelope("status", 0, reports)
    written = capsys.readouterr().out
    assert written.replace("\n", "").isprintable()
    assert json.loads(written)["data"] == reports


def test_hostile_reports_make_a_page() -> None:
    fleet = [status(hostile.report(seed, host=f"web{seed}")) for seed in range(500)]
    assert b"**500 hosts**" in readme(fleet, inventory="production", as_of=NOW)


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_cell_shows_what_was_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    written = Terminal()
    Output(out=written).show_table(("key", "what"), [("unit", text)])
    assert all(line.isprintable() for line in written.getvalue().split("\n"))
    letters = [character for character in text if character in string.ascii_letters + string.digits + "[]{}%"]
    found = iter(written.getvalue())
    assert all(letter in found for letter in letters)


BEYOND = {
    "a sequence": ("sequence", 2**62),
    "a moment": ("at", 2**40),
    "a due time": ("next_due", 10**32),
    "a count": ("unowned", 2**63),
    "a count below nothing": ("changes_total", -(2**63) - 1),
    "a number of thousands of digits": ("unowned", 10**4000),
    "the end of a hold": ("holds", [{"kind": "window", "reason": "x", "until": 10**30}]),
}


@pytest.mark.parametrize(("field", "value"), BEYOND.values(), ids=BEYOND.keys())
def test_a_number_that_nobody_can_count_with_is_no_report(field: str, value: object) -> None:
    document = json.loads(encode(report())) | {field: value}
    with pytest.raises(Mismatch, match=field):
        parse(json.dumps(document).encode())


@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "-1e9", "0.5", "9" * 5000])
def test_a_number_that_is_no_whole_number_is_no_report(number: str) -> None:
    document = encode(report()).replace(b'"unowned": 0', b'"unowned": ' + number.encode())
    with pytest.raises(ValueError, match=r"unowned|JSON"):
        parse(document)


def test_a_host_is_overdue_however_late_it_said_that_it_would_report() -> None:
    assert shown(at=NOW - LONGEST_SILENCE_S - 1, next_due=LATEST)["next due"] == "overdue"
    assert shown(at=NOW - 60, next_due=LATEST)["next due"] == "13 d"


def test_a_host_whose_clock_is_ahead_is_told() -> None:
    told = shown(at=NOW + 86_400, next_due=NOW + 90_000)
    assert (told["reported"], told["next due"]) == ("1 d ahead", "unknown")
    assert "its clock is 1 d ahead of this one" in told["what"]
    assert shown(at=NOW + CLOCKS_DIFFER_S)["what"] == ""


def test_what_a_problem_says_and_a_hold_repeats_is_told_once() -> None:
    problem = Problem(kind="key-revoked", message="ann may not sign any more", consequence="stall", exit=5)
    hold = ReportedHold(kind="key-revoked", reason="ann may not sign any more")
    assert shown(phase=HostPhase.FAILED, problems=(problem,), holds=(hold, hold))["what"] == "ann may not sign any more"


def test_that_a_commit_was_taken_back_is_told_once_also_by_the_cycle_that_did_it() -> None:
    told = "commit 6484a7afe9da was taken back to 41282e3b20a7: shop.service has failed"
    problem = Problem(kind="rolled-back", message=told, consequence="stall", exit=8)
    hold = ReportedHold(kind="bad", reason="commit 6484a7afe9da was taken back: shop.service has failed")
    assert shown(phase=HostPhase.ROLLED_BACK, problems=(problem,), holds=(hold,))["what"] == told
    cause = Problem(kind="deploy-failed", message="shop.service has failed", consequence="retry", exit=7)
    assert shown(phase=HostPhase.ROLLED_BACK, problems=(cause, problem), holds=(hold,))["what"] == told
    assert shown(phase=HostPhase.ROLLED_BACK, holds=(hold,))["what"] == hold.reason  # of the cycles after it


def test_what_was_said_on_this_host_is_told_before_it_has_reported_it() -> None:
    said = Hold(HoldKind.SUSPENDED, "suspended on this host: disk", NOW)
    assert row(status(report()), NOW, [said])[-1] == f"suspended on this host: disk, until {'2023-11-14 22:13Z'}"


def test_what_was_said_on_this_host_is_told_once_and_not_when_it_was_taken_back() -> None:
    said = Hold(HoldKind.SUSPENDED, "suspended on this host: disk")
    told = status(report(phase=HostPhase.WAITING, holds=(ReportedHold(kind=said.kind, reason=said.reason),)))
    assert row(told, NOW, [said])[-1] == row(told, NOW)[-1] == said.reason
    assert row(told, NOW, [])[-1] == ""


def test_a_host_of_the_inventory_that_never_reported_is_listed() -> None:
    lines = {"db1": "ssh-ed25519 AAAA"}
    statuses = judge_all([], lines, {"db2": 7}, {"db1", "db2", "db3"})
    assert [(each.host, each.verdict, each.why) for each in statuses] == [
        ("db1", ReportVerdict.MISSING, "admitted, and no report yet"),
        ("db2", ReportVerdict.MISSING, "there was a report, and it is gone from the branch"),
        ("db3", ReportVerdict.MISSING, "no report yet, no identities/db3.pub is merged"),
    ]


def test_a_host_is_of_the_fleet_while_it_is_in_the_inventory_or_admitted() -> None:
    old, junk = status(report("old1")), HostStatus("hosts/x", None, ReportVerdict.UNREADABLE, "", "hosts/x")
    cases = itertools.product((old,), ({}, {"old1": "ssh-ed25519 AAAA"}), (frozenset(), frozenset({"old1"})))
    assert [belongs(*case) for case in cases] == [False, True, True, True]
    assert belongs(junk, {}, frozenset())
    assert belongs(old, {}, None)


def test_a_report_of_a_host_that_nobody_admitted_says_why() -> None:
    told = report()
    claim = HostStatus(told.host, told, ReportVerdict.UNADMITTED, "identities/web1.pub: no key", report_path(told.host))
    cells = dict(zip(COLUMNS, row(claim, NOW), strict=True))
    assert "(not-admitted)" in cells["state"]
    assert cells["what"].startswith("identities/web1.pub: no key")


OLD, NEW = "1" * 40, "2" * 40


def peer(*, at: int = NOW - 3600, verdict: ReportVerdict = ReportVerdict.VERIFIED, **changed: Any) -> HostStatus:
    """web2, which reached a newer commit an hour ago."""
    reached = (Adoption(sha=NEW, at=at, soaked_s=0), Adoption(sha=OLD, at=NOW - 90_000, soaked_s=86_000))
    return status(report("web2", adopted=reached, **changed), verdict)


def kept_from_web1(tmp_path: Path, other: HostStatus, *known: str, **changed: Any) -> str:
    """What web1 says of ``other``. ``known``: the commits that its remote has shown it."""
    branch = samples.branch(tmp_path, tmp_path / "remote")
    view = FleetView(branch, {}, "production", None, tmp_path / "seen", ("web1", ()), knows={OLD, *known}.__contains__)
    return withheld([status(report(**changed)), other], view)


def test_a_commit_that_a_peer_reached_and_this_host_was_never_shown_is_told(tmp_path: Path) -> None:
    told = kept_from_web1(tmp_path, peer())
    assert "web2 reached commit 222222222222, which this host's remote has not shown it" in told


def test_a_peer_that_is_a_moment_ahead_or_unverified_or_of_another_inventory_warns_nobody(tmp_path: Path) -> None:
    assert not kept_from_web1(tmp_path, peer(), NEW)
    assert not kept_from_web1(tmp_path, peer(at=NOW - 60)), "this host may not have looked since"
    assert not kept_from_web1(tmp_path, peer(verdict=ReportVerdict.UNADMITTED)), "anybody could have written that"
    assert not kept_from_web1(tmp_path, peer(inventory="staging"))
    assert not kept_from_web1(tmp_path, peer(), commits=Commits(trusted=OLD)), "no answer, as it says"
