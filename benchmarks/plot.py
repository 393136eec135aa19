"""The same results as a picture: CPU seconds of each tool."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import Results
from benchmarks.table import OURS, WORDS, rows

SHOWN = ("drift check", "no-op", "one file", "rebuilt")
SIZE = 1207

_OTHERS = ("#4e79a7", "#9c755f", "#76b7b2", "#edc948", "#b07aa1")


def plot(results: Results, folder: Path) -> None:
    """Write performance.png and performance.svg to ``folder``, where there are results of SIZE resources."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "hostwright"  # the same picture from the same results
    from matplotlib import pyplot

    chosen = {name: of for name, size, of in rows(results) if size == SIZE and name in SHOWN}
    if not chosen:
        return
    tools = sorted({tool for of in chosen.values() for tool, figure in of.items() if figure.cpu and tool != OURS})
    colours = dict(zip((OURS, *tools), ("#d62728", *_OTHERS), strict=False))
    figure, axes = pyplot.subplots(figsize=(9, 4.2))
    height = 0.8 / len(colours)
    for place, (tool, colour) in enumerate(colours.items()):
        found = [(row, of[tool].cpu or 0) for row, of in enumerate(chosen.values()) if tool in of]
        bars = {row + place * height: cpu for row, cpu in found if cpu}
        drawn = axes.barh([*bars], [*bars.values()], height * 0.9, color=colour, label=tool)
        axes.bar_label(drawn, [f"{cpu:.2g}" for cpu in bars.values()], padding=3, fontsize=8)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(chosen))], [WORDS[name] for name in chosen])
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlabel("CPU seconds: less is better")
    axes.set_title(f"{SIZE:,} resources, {', '.join(results.days)}", fontsize=10, loc="left")
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"performance.{kind}", dpi=120, metadata={"Date": None} if kind == "svg" else None)
