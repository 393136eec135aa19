"""What was measured: figures, and a file that keeps them with the machine and the versions that they are of."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measuring import Cost


@dataclass(frozen=True, slots=True)
class Figure:
    """The median cost of ``rounds`` runs. ``size`` counts resources. ``cpu`` and ``wall`` are seconds, None where it
    was not run; ``note`` says why."""

    scenario: str
    size: int
    tool: str
    cpu: float | None = None
    wall: float | None = None
    rounds: int = 0
    note: str = ""

    @classmethod
    def of(cls, scenario: str, size: int, tool: str, costs: Sequence[Cost]) -> Figure:
        cpu, wall = (statistics.median(getattr(cost, name) for cost in costs) for name in ("cpu", "wall"))
        return cls(scenario, size, tool, round(cpu, 4), round(wall, 3), len(costs))


@dataclass
class Results:
    """Figures, each with the day on which it was measured, and the versions of the tools."""

    machine: str = ""
    days: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Results:
        if not path.exists():
            return cls()
        told = json.loads(path.read_text())
        return cls(told["machine"], told["days"], told["versions"], [Figure(**figure) for figure in told["figures"]])

    def add(self, figures: Iterable[Figure]) -> None:
        """Take in figures in place of older ones of the same kind."""
        for figure in figures:
            same = (figure.scenario, figure.size, figure.tool)
            self.figures = [old for old in self.figures if (old.scenario, old.size, old.tool) != same] + [figure]
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self.machine, self.days = _machine(), sorted({*self.days, today})

    def write(self, path: Path) -> None:
        told = {**asdict(self), "figures": []}
        lines = ",\n".join(f"    {json.dumps(asdict(figure))}" for figure in self.figures)
        path.write_text(json.dumps(told, indent=2).replace('"figures": []', f'"figures": [\n{lines}\n  ]') + "\n")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}"
