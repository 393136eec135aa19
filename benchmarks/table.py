"""Results as a table in Markdown: ``python -m benchmarks.table`` prints those that were kept last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Figure, Results

KEPT = Path(__file__).with_name("results.json")

OURS = "Hostwright"

WORDS = {
    "look": "look, change nothing",
    "no-op": "a run with nothing to do",
    "one file": "one drifted file found and repaired",
    "rebuilt": "everything rebuilt",
    "operations, look": "241 pyinfra operations: look",
    "operations, no-op": "241 pyinfra operations: a run with nothing to do",
    "operations, one file": "241 pyinfra operations: one drifted file",
    "operations, rebuilt": "241 pyinfra operations: everything rebuilt",
    "bare": "bare Debian to converged, by the clock",
    "drift check": "drift check in the running daemon",
    "at rest": "a host at rest, an hour of it",
}


BY_CLOCK = ("bare",)
"""Scenarios that wait for a network; the others say CPU seconds."""


def rows(results: Results) -> Iterator[tuple[str, int, dict[str, Figure]]]:
    """What was measured, by scenario and size, with the figure of each tool."""
    found: dict[tuple[str, int], dict[str, Figure]] = {}
    for figure in results.figures:
        found.setdefault((figure.scenario, figure.size), {})[figure.tool] = figure
    order = list(WORDS)
    for scenario, size in sorted(found, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key)):
        yield scenario, size, found[scenario, size]


def seconds(figure: Figure | None) -> float | None:
    """What counts of a figure."""
    return None if figure is None else figure.wall if figure.scenario in BY_CLOCK else figure.cpu


def ratio(of: dict[str, Figure]) -> float | None:
    """Hostwright's figure by that of the peer that needed least; None where one of them is missing."""
    peers = [value for tool, figure in of.items() if tool != OURS and (value := seconds(figure)) is not None]
    ours = seconds(of.get(OURS))
    return ours / min(peers) if peers and ours is not None else None


def markdown(results: Results) -> str:
    found = list(rows(results))
    tools = [OURS, *sorted({figure.tool for _, _, of in found for figure in of.values()} - {OURS})]
    lines = [("CPU seconds", "resources", *tools, "Hostwright beside the best peer")]
    lines.append(("---", *["---:"] * (len(tools) + 2)))
    for scenario, size, of in found:
        share = ratio(of)
        cells = (_cell(of.get(tool)) for tool in tools)
        lines.append((WORDS.get(scenario, scenario), f"{size:,}", *cells, f"{share:.2g}" if share else ""))
    versions = "; ".join(f"{tool} {version}" for tool, version in sorted(results.versions.items()))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nMeasured {', '.join(results.days)} on {results.machine}. {versions}.\n"


def _cell(figure: Figure | None) -> str:
    found = seconds(figure)
    if figure is None or found is None:
        return f"not run: {figure.note}" if figure else ""
    return f"{_short(found)} ({figure.note})" if figure.note else _short(found)


def _short(seconds: float) -> str:
    """Two digits, or whole seconds."""
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.2g}"


if __name__ == "__main__":
    print(markdown(Results.read(KEPT)))
