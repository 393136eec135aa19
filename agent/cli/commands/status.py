"""status: what the hosts of an inventory report, every signature verified."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

import click

from agent.cli.config_repo import BEGIN, ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain import codec
from agent.domain.host_phase import HostPhase
from agent.domain.plan import Hold, HoldKind
from agent.domain.report import LATEST, Report
from agent.domain.status import HostStatus, ReportVerdict, ahead_s, due, newer_elsewhere
from agent.domain.text import moment, printable, waiting
from agent.errors import UsageError
from agent.fleet.reader import belongs, judge_all, now_seen
from agent.fleet_view import FleetView, view_of_host, view_of_repo
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.steps.choose import HERE
from agent.system.files import read_bounded, write_atomic

READ_DEADLINE_S = 120.0

WHAT_LIMIT = 600
"""Characters of the last column for one host: a few lines of the table."""

_BEGIN = f"{BEGIN}; on a managed host root needs none of this"
COLUMNS = ("host", "state", "commit", "reported", "next due", "what")


@click.command(cls=CliCommand)
@click.option("--remote", help="The remote that holds the branch `status` [this host's, or the repo's origin].")
@click.option("--all", "everything", is_flag=True, help="Also what is on the branch of hosts not in the inventory.")
@click.argument("hosts", nargs=-1)
def status(
    output: Output, repo: ConfigRepo, hosts: Sequence[str], remote: str | None = None, everything: bool = False
) -> Reply:
    """Show what the hosts report, signatures verified."""
    if repo.folder is None and os.geteuid() == 0 and Paths().settings.exists():
        view = view_of_host(Paths(), remote)
    else:
        view = view_of_repo(repo.root, repo.one_inventory(_BEGIN), remote)
    seen = _read_seen(view.seen)
    statuses = judge_all(view.branch.read(READ_DEADLINE_S), view.identities, seen, view.hosts or ())
    _keep_seen(view.seen, now_seen(statuses, seen))
    statuses = tuple(
        replace(each, why=view.broken.get(each.host, each.why)) if each.verdict is ReportVerdict.UNADMITTED else each
        for each in statuses
    )
    if hosts:
        shown = [each for each in statuses if each.host in hosts]
        unknown = set(hosts) - {each.host for each in shown}
        if unknown:
            names = printable(", ".join(sorted(unknown)))
            raise UsageError(f"not in the inventory, and nothing on the branch: {names}", hint="hostwright status")
    else:
        shown = [each for each in statuses if everything or belongs(each, view.identities, view.hosts)]
        if others := len(statuses) - len(shown):
            what = "1 report is" if others == 1 else f"{others} reports are"
            output.say(f"{what} of no host of inventories/{view.inventory}: hostwright status --all")
    now = int(time.time())
    local = dict([view.local] if view.local is not None else ())
    if shown:
        output.show_table(COLUMNS, (row(each, now, local.get(each.host)) for each in shown))
    else:
        output.show("no host has reported yet")
    if told := withheld(statuses, view):
        output.say(told)
    if view.asks and view.local is not None:
        name = view.local[0]
        output.say(f"{name} is not admitted: hostwright admit {name} --fingerprint {view.asks} in the config repo")
    elif any(each.verdict is ReportVerdict.UNADMITTED for each in shown):
        output.say("next: hostwright admit in the config repo shows who asks to be admitted")
    return Reply([_document(each, now) for each in shown])


def withheld(statuses: Sequence[HostStatus], view: FleetView) -> str:
    """The warning on a managed host that its remote may keep newer commits from it; empty without a sign of that."""
    if view.local is None or view.knows is None:
        return ""
    own = next((each.report for each in statuses if each.verified and each.host == view.local[0]), None)
    found = newer_elsewhere(statuses, own, view.knows) if own is not None else None
    if found is None:
        return ""
    peer, commit = found
    return (
        f"{peer.host} reached commit {commit[:12]}, which this host's remote has not shown it: is a newer commit kept"
        f" from {view.local[0]}? Compare remote and branch in /etc/hostwright/agent.yaml of both hosts"
    )


def row(status: HostStatus, now: int, local: Sequence[Hold] | None = None) -> tuple[str, ...]:
    """One host as a line of the table. ``local``: the holds that people set on this host, which its report may not name
    yet; None for any other host."""
    report = status.report
    if report is None:
        return status.host, status.verdict.value, "", "", "", printable(status.why, WHAT_LIMIT)
    claim, claimed = ("", []) if status.verified else (f" ({status.verdict.value})", [status.why])
    ahead, left = ahead_s(report, now), due(report) - now
    return (
        status.host,
        f"{report.phase.value}{claim}",
        (report.commits.aimed or "")[:12],
        f"{span(ahead)} ahead" if ahead else f"{span(now - report.at)} ago",
        "unknown" if ahead else "overdue" if left < 0 else span(left),
        printable("; ".join(dict.fromkeys((*claimed, *_what(report, ahead, local)))), WHAT_LIMIT),
    )


def _what(report: Report, ahead: int, local: Sequence[Hold] | None) -> Sequence[str]:
    told = [f"its clock is {span(ahead)} ahead of this one"] if ahead else []
    messages = [problem.message.partition("\n")[0] for problem in report.problems]
    told += [each for each in messages if not any(each in other and each != other for other in messages)]
    told += list(report.health.complaints) if report.health is not None else []
    drift = [change for change in report.changes if change.cause == "drift"]
    repaired = sum(1 for change in drift if change.state == "done")
    told += [f"{repaired} drift repaired"] if repaired else []
    told += [f"{len(drift) - repaired} drifted"] if len(drift) > repaired else []
    told += _holds(report, told, local)
    return told


def _holds(report: Report, problems: Sequence[str], local: Sequence[Hold] | None) -> Iterator[str]:
    """The holds in words, without those that a problem names already (``backoff``, a commit just taken back)."""
    taken_back = any(problem.kind == ProblemKind.ROLLED_BACK for problem in report.problems)
    said = {HoldKind.BACKOFF, HoldKind.BAD} if taken_back else {HoldKind.BACKOFF}
    if local is not None:
        yield from (hold.full_text for hold in local)
    for hold in report.holds:
        said_here = local is not None and hold.reason.startswith(HERE)
        shown = report.phase is not HostPhase.CONVERGED and hold.kind not in said and hold.reason not in problems
        if shown and not said_here:
            yield waiting(hold.reason, hold.until)


def span(seconds: int) -> str:
    """A number of seconds in the largest unit that it fills."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def _document(status: HostStatus, now: int) -> dict[str, object]:
    report = status.report
    return {
        "host": status.host,
        "verdict": status.verdict.value,
        "why": status.why,
        "overdue": report is not None and now > due(report),
        "clock_ahead_s": 0 if report is None else ahead_s(report, now),
        "reported_at": None if report is None else moment(report.at, "%Y-%m-%dT%H:%M:%S+00:00"),
        "report": None if report is None else codec.to_plain(report),
    }


def _read_seen(path: Path) -> Mapping[str, int]:
    try:
        known = codec.decode(read_bounded(path), dict[str, int])
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint=f"rm {quote(f'{path}')}; it only remembers what was seen"
        ) from error
    return {host: min(sequence, LATEST * 1000) for host, sequence in known.items()}


def _keep_seen(path: Path, seen: Mapping[str, int]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, codec.encode(seen))
