"""The page that forges show for the status branch, made from the states of the fleet. Pure: same input, same bytes."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from agent.domain.host_phase import HostPhase
from agent.domain.report import Report
from agent.domain.status import HostStatus, ReportVerdict, ahead_s, due
from agent.domain.text import moment, plural

FULL_TABLE_HOSTS = 1000
"""Hosts. A page for more lists only those that are not well, because nobody reads more, and forges cut it."""
PAGE_LIMIT = 500_000
"""Bytes; GitHub cuts a README at 512,000."""
CELL_LIMIT = 160
"""Characters of one value."""
SHORT_SHA = 8

SILENT = "silent"
_SYMBOLS = {
    ReportVerdict.REFUSED: "🚫",
    ReportVerdict.UNREADABLE: "❓",
    HostPhase.FAILED: "❌",
    HostPhase.ROLLED_BACK: "⏪",
    HostPhase.INCONCLUSIVE: "❔",
    HostPhase.UNHEALTHY: "🩺",
    SILENT: "🔇",
    HostPhase.DRIFTED: "⚠️",
    HostPhase.WAITING: "⏸️",
    HostPhase.ATTEMPTING: "🔧",
    HostPhase.STARTING: "🌱",
    ReportVerdict.MISSING: "💤",
    HostPhase.CONVERGED: "✅",
}
"""The symbol of each state, and the order of the page: states that most need a person come first."""
_RANK = {word: rank for rank, word in enumerate(_SYMBOLS)}

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ,;/?%.-")
"""The ASCII characters that mean nothing in Markdown, in HTML or to a forge (mentions, references, formulas)."""
_LINK = re.compile(r"www(?=\.)", re.IGNORECASE)
"""The beginning of a text that forges turn into a link, besides addresses with a colon."""


def readme(statuses: Iterable[HostStatus], *, inventory: str, as_of: int) -> bytes:
    """The page. ``as_of``: the moment at which it is made, in seconds since the epoch; hosts whose next report was due
    before are shown as silent."""
    rows = sorted((_Row(status, as_of) for status in statuses), key=lambda row: row.order)
    shown = rows if len(rows) <= FULL_TABLE_HOSTS else [row for row in rows if not row.well]
    head = [
        f"# Hostwright: {escape(inventory)}",
        "",
        _totals(rows),
        "",
        f"As of {_when(as_of)} UTC. Whoever may push to this branch can write anything here; do not trust this page:",
        "`hostwright status` verifies every report.",
        "",
    ]
    table = [
        "| | Host | State | Commit | Since (UTC) | Last report (UTC) | Problems | Drift | Agent |",
        "|---|---|---|---|---|---|--:|--:|---|",
        *(row.line for row in shown),
    ]
    page = [*head, *(table if shown else ["Every host is well."])]
    if len(shown) < len(rows) and shown:
        page += ["", f"Not listed: {len(rows) - len(shown)} hosts that are well."]
    page += _details(shown)
    return _cut(page)


def escape(value: str) -> str:
    """``value`` as one line of plain text for Markdown and HTML, cut to CELL_LIMIT characters.

    The caller puts it between <code> and </code>: in all other text forges look for mentions, issues and commits, also
    in character references. Every ASCII sign that could have a meaning becomes a character reference. Line ends become
    spaces. Control and formatting characters (bidirectional overrides, zero width, tags), which would make text look
    like other text, become U+FFFD.
    """
    short = value if len(value) <= CELL_LIMIT else f"{value[: CELL_LIMIT - 1]}…"
    return _LINK.sub("ww&#119;", "".join(_escaped(character) for character in short))


def _escaped(character: str) -> str:
    if character in _PLAIN:
        return character
    if character in "\t\n\r\v\f\x85\u2028\u2029":
        return " "
    category = unicodedata.category(character)
    if category[0] == "C":
        return "\ufffd"
    if category == "Zs":
        return " "
    if character == "@":
        return "&#64;<!-- -->"  # GitHub joins the text around a character reference, and makes addresses links
    return f"&#{ord(character)};" if character.isascii() else character


class _Row:
    """One host on the page."""

    def __init__(self, status: HostStatus, as_of: int) -> None:
        self.status = status
        self.state = _state(status, as_of)
        self.ahead = ahead_s(status.report, as_of) if status.report is not None else 0
        self.well = status.well and self.state == HostPhase.CONVERGED
        self.order = (_RANK[self.state], self.well, status.host)

    @property
    def line(self) -> str:
        report = self.status.report
        cells = [_SYMBOLS[self.state], f"<code>{escape(self.status.host)}</code>", self._state_cell]
        cells += _report_cells(report) if report is not None else [""] * 6
        return f"| {' | '.join(cells)} |"

    @property
    def _state_cell(self) -> str:
        report = self.status.report
        word = f"{SILENT}, was {report.phase}" if self.state == SILENT and report is not None else self.state
        return f"{word} (not admitted)" if self.status.verdict is ReportVerdict.UNADMITTED else word


def _state(status: HostStatus, as_of: int) -> str:
    if status.report is None:
        return status.verdict
    return SILENT if due(status.report) < as_of else status.report.phase


def _report_cells(report: Report) -> list[str]:
    sha = report.commits.aimed
    since = next((adoption.at for adoption in reversed(report.adopted) if adoption.sha == sha), None)
    return [
        f"<code>{sha[:SHORT_SHA]}</code>" if sha else "",
        _when(since) if since is not None else "",
        _when(report.at),
        _count(len(_complaints(report))),
        _count(sum(1 for change in report.changes if change.cause == "drift")),
        f"<code>{escape(report.agent_version)}</code>",
    ]


def _totals(rows: Sequence[_Row]) -> str:
    counts = Counter(row.state for row in rows)
    parts = [f"{_SYMBOLS[state]} {counts[state]} {state}" for state in reversed(_SYMBOLS) if counts[state]]
    return " · ".join([f"**{len(rows)} {plural('host', len(rows))}**", *parts])


def _details(rows: Sequence[_Row]) -> list[str]:
    """The problems, host by host, of the hosts in the table."""
    lines: list[str] = []
    for row in rows:
        report = row.status.report
        texts = _complaints(report) if report is not None else [row.status.why]
        if report is not None and row.state == SILENT:
            texts = [f"no report since {_when(report.at)}; the next was due by {_when(due(report))}", *texts]
        if row.ahead:
            texts = [f"its clock is {row.ahead} s ahead of the one by which this page is made", *texts]
        head = f"- {_SYMBOLS[row.state]} <code>{escape(row.status.host)}</code>"
        lines += [f"{head}: <code>{escape(text)}</code>" for text in texts]
    return ["", "## What is wrong", "", *lines] if lines else []


def _complaints(report: Report) -> list[str]:
    """The problems and health complaints of a report, each with its hint if it has one."""
    said = [f"{problem.message} ({problem.hint})" if problem.hint else problem.message for problem in report.problems]
    return said + (list(report.health.complaints) if report.health is not None else [])


def _when(seconds: int) -> str:
    return moment(seconds, "%Y-%m-%d %H:%M")


def _count(number: int) -> str:
    return str(number) if number else ""


def _cut(lines: Sequence[str]) -> bytes:
    """The whole lines that fit into PAGE_LIMIT bytes, and a line that counts the others."""
    page = bytearray()
    for number, line in enumerate(lines):
        encoded = f"{line}\n".encode()
        if len(page) + len(encoded) > PAGE_LIMIT:
            page += f"\n{len(lines) - number} more lines: see `hostwright status`.\n".encode()
            break
        page += encoded
    return bytes(page)
