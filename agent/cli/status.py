"""status: what the hosts of an inventory report, every signature verified."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from agent import wiring
from agent.cli.admin import choose
from agent.cli.output import Output
from agent.domain.report import Phase
from agent.domain.status import HostStatus
from agent.domain.text import printable, waiting
from agent.errors import UsageError
from agent.fleet.reader import judge_all, now_seen
from agent.host.paths import Paths
from agent.system.files import read_bounded, write_atomic

READ_DEADLINE_S = 120.0

WHAT_LIMIT = 600
"""Characters of what one host complains about: a few lines of the table."""


def status(
    output: Output, *, repo: Path | None, inventory: str | None, remote: str | None, hosts: Sequence[str]
) -> int:
    """On a managed host its own inventory, elsewhere that of the config repo at ``repo``."""
    view = wiring.fleet_view(repo, inventory, remote, paths=Paths(), choose=lambda: choose(repo, inventory))
    seen = _read_seen(view.seen)
    statuses = judge_all(view.branch.read(READ_DEADLINE_S), view.identities, seen)
    _keep_seen(view.seen, now_seen(statuses, seen))
    if hosts:
        statuses = tuple(each for each in statuses if each.host in hosts)
        unknown = set(hosts) - {each.host for each in statuses}
        if unknown:
            raise UsageError(f"no such host has reported: {', '.join(sorted(unknown))}")
    now = int(time.time())
    output.show(_table(statuses, now))
    output.envelope("status", 0, [_document(each, now) for each in statuses])
    return 0


def _table(statuses: Sequence[HostStatus], now: int) -> Table | str:
    if not statuses:
        return "no host has reported yet"
    table = Table(box=None, pad_edge=False)
    for name in ("host", "state", "commit", "reported", "next due", "what"):
        table.add_column(name, no_wrap=name != "what")
    for each in statuses:
        report = each.report
        if report is None:
            table.add_row(each.host, each.verdict.value, "", "", "", _what(each))
            continue
        claim = "" if each.verified else f" ({each.verdict.value})"
        commit = (report.commits.aimed or "")[:12]
        due = "overdue" if now > report.next_due else _age(report.next_due - now)
        table.add_row(
            each.host, f"{report.phase.value}{claim}", commit, f"{_age(now - report.at)} ago", due, _what(each)
        )
    return table


def _what(status: HostStatus) -> str:
    report = status.report
    if report is None:
        return printable(status.why, WHAT_LIMIT)
    told = [problem.message.partition("\n")[0] for problem in report.problems]
    told += list(report.health.complaints) if report.health is not None else []
    drift = [change for change in report.changes if change.cause == "drift"]
    repaired = sum(1 for change in drift if change.state == "done")
    told += [f"{repaired} drift repaired"] if repaired else []
    told += [f"{len(drift) - repaired} drifted"] if len(drift) > repaired else []
    # A backoff is among the problems already.
    told += [
        waiting(hold.reason, hold.until)
        for hold in report.holds
        if report.phase is not Phase.CONVERGED and hold.kind != "backoff"
    ]
    return printable("; ".join(told), WHAT_LIMIT)


def _age(seconds: int) -> str:
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
        "overdue": report is not None and now > report.next_due,
        "reported_at": None if report is None else datetime.fromtimestamp(report.at, UTC).isoformat(),
        "report": None if report is None else report.model_dump(mode="json"),
    }


def _read_seen(path: Path) -> Mapping[str, int]:
    try:
        data = json.loads(read_bounded(path))
        return {str(host): int(sequence) for host, sequence in data.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint=f"rm {path}; it only remembers what was seen"
        ) from error


def _keep_seen(path: Path, seen: Mapping[str, int]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, json.dumps(seen, sort_keys=True).encode() + b"\n")
