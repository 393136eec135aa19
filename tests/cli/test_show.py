"""Plans as people read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.output import Output
from agent.cli.show import DIFF_HEAD, NEW_LINES, AccountView, newest_line, plan_lines
from agent.deploys.correction import unified
from agent.domain.account import Account
from agent.domain.desired import OnRemove
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.plan import DeployPlan, Hold, HoldKind, PermittedPlan
from agent.domain.removal import Departure, Fate, Leaving, Removal
from agent.steps.permit import NOT_IDEMPOTENT
from tests.steps.build import SHA, change, plan, planned


def entry(key: str) -> LedgerEntry:
    return LedgerEntry(key, "files", 5, Origin.CREATED)


def test_what_is_to_go_stands_behind_what_is_to_change() -> None:
    leaving = Leaving(
        (
            Removal(entry("file:/a"), Fate.REMOVE),
            Removal(entry("file:/b"), Fate.ORPHAN, "changed since: content"),
            Removal(entry("file:/c"), Fate.RELEASE),
            Removal(entry("file:/d"), Fate.FORGET),
        ),
        (Departure("app", OnRemove("deploys/app_absent.py", {}, SHA), Hold(HoldKind.PRUNE_HELD, "too many")),),
    )
    assert list(plan_lines(plan(planned(change())), leaving, diff=False, calm="in sync with")) == [
        f"1 intended, 4 left Git (commit {SHA[:12]}): 4 files",
        "+ file:/etc/motd: write file:/etc/motd  [intended, motd]",
        "- app: run deploys/app_absent.py, left Git  [app], held",
        "- file:/a: remove, left Git  [files]",
        "- file:/b: leave as orphaned, left Git: changed since: content  [files]",
        "- file:/c: release, left Git and was there before  [files]",
        "held: too many",
    ]


def test_a_host_is_in_sync_when_nothing_is_to_change_or_to_go() -> None:
    gone = Leaving((Removal(entry("file:/d"), Fate.FORGET),))
    assert list(plan_lines(plan(planned()), gone, diff=False, calm="in sync with")) == [f"in sync with {SHA[:12]}"]
    removal = Leaving((Removal(entry("file:/a"), Fate.REMOVE),))
    assert next(plan_lines(plan(planned()), removal, diff=False, calm="in sync with")).startswith("1 left Git")


def test_what_a_change_waits_for_stands_beside_it_and_once_below() -> None:
    window = Hold(HoldKind.WINDOW, "it is outside its windows")
    lines = list(plan_lines(plan(planned(change())), Leaving(), {"motd": window}, diff=False, calm="in sync with"))
    assert lines[1].endswith(", held")
    assert [line for line in lines if line.startswith("held: ")] == [f"held: {window.full_text}"]


def test_why_a_deploy_waits_for_a_secret_is_said_once() -> None:
    waits = Hold(HoldKind.NOT_ADMITTED, "this host is not admitted")
    deploy = DeployPlan("app", unknown=waits.reason, waits=waits)
    lines = list(plan_lines(plan(deploy), Leaving(), {"app": waits}, diff=False, calm="in sync with"))
    assert lines[1:] == ["? app: waits for a secret, held", f"held: {waits.full_text}"]


def test_a_cycle_says_why_deploys_wait(capsys: pytest.CaptureFixture[str]) -> None:
    waits = Hold(HoldKind.NOT_ADMITTED, "this host is not admitted")
    deploys = [DeployPlan(name, unknown=waits.reason, waits=waits) for name in ("app", "db")]
    holds = {deploy.deploy: waits for deploy in deploys}
    permitted = PermittedPlan(plan(*deploys), allowed={}, held=(), deploy_holds=holds)
    AccountView(Output()).conclude(Account(permitted=permitted))
    assert capsys.readouterr().err == "app, db wait: this host is not admitted\n"


def test_what_says_changed_every_time_has_its_sign_and_no_hold() -> None:
    held = {"motd": NOT_IDEMPOTENT}
    lines = list(plan_lines(plan(planned(change())), Leaving(), held, diff=False, calm="in sync with"))
    assert not any("held" in line for line in lines)


def test_a_commit_that_was_taken_back_is_named_once() -> None:
    told = f"commit {SHA[:12]} was taken back: nginx is down"
    assert newest_line(SHA, told) == f"not aimed at: {told}"
    assert newest_line(SHA, "outside its windows") == f"not aimed at: commit {SHA[:12]}: outside its windows"


def diff_of(tmp_path: Path, before: str, after: str) -> str:
    return unified(f"{tmp_path}/x", before.encode(), after.encode())


def test_of_a_new_file_the_beginning_is_shown_and_all_of_it_when_asked(tmp_path: Path) -> None:
    new = plan(planned(change(diff=diff_of(tmp_path, "", "line\n" * 500))))
    short, long = (list(plan_lines(new, Leaving(), diff=True, calm="", whole=whole)) for whole in (False, True))
    assert short[0] == f"1 intended (commit {SHA[:12]}): 1 file"
    assert short[-2:] == ["    +line", "    … 495 more lines; -v shows them"]
    assert len(short) == 2 + DIFF_HEAD + NEW_LINES + 1
    assert len(long) == 2 + DIFF_HEAD + 500


@pytest.mark.parametrize(("before", "after"), [("old\n", "line\n" * 500), ("", "line\n" * (NEW_LINES + 1))])
def test_a_diff_of_what_is_there_and_a_short_new_file_are_shown_whole(tmp_path: Path, before: str, after: str) -> None:
    found = plan(planned(change(diff=diff_of(tmp_path, before, after))))
    assert "more lines" not in "".join(plan_lines(found, Leaving(), diff=True, calm=""))
