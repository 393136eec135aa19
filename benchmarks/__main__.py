"""Hostwright beside its peers: ``python -m benchmarks``. See README.md in this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from benchmarks import bare, checking, operations, resting, session
from benchmarks.plot import plot
from benchmarks.results import Figure, Results
from benchmarks.table import KEPT, markdown
from benchmarks.tools.ansible import ANSIBLE
from benchmarks.tools.cfengine import CFENGINE
from benchmarks.tools.hostwright import HOSTWRIGHT
from benchmarks.tools.puppet import PUPPET
from benchmarks.tools.pyinfra import PYINFRA
from benchmarks.tools.salt import SALT
from benchmarks.tools.tool import Tool
from tests.lab.lab import Lab, missing

TOOLS = (HOSTWRIGHT, CFENGINE, SALT, PUPPET, ANSIBLE, PYINFRA)
SCENARIOS = {scenario.name: scenario for scenario in session.SCENARIOS}
PARTS = (*SCENARIOS, "operations", bare.SCENARIO, resting.SCENARIO, "check")


def chosen(_: click.Context, option: click.Parameter, value: str) -> list[str]:
    known = PARTS if option.name == "only" else [tool.name for tool in TOOLS]
    names = [name.strip() for name in value.split(",")]
    if unknown := set(names) - set(known):
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(known)}")
    return names


def figures(
    lab: Lab, only: list[str], tools: list[Tool], sizes: list[int], rounds: int, limit_s: float
) -> Iterator[Figure]:
    scenarios = [SCENARIOS[name] for name in only if name in SCENARIOS]
    if scenarios:
        yield from session.measured(lab, tools, session.states(lab, sizes), scenarios, rounds, limit_s)
    if "operations" in only:
        for figure in session.measured(lab, operations.tools(), [operations.state()], session.SCENARIOS, 1, 600.0):
            yield replace(figure, scenario=f"operations, {figure.scenario}", size=operations.COUNT)
    if bare.SCENARIO in only:
        yield from bare.measured(lab, rounds, [tool.name for tool in tools])
    if resting.SCENARIO in only:
        yield from resting.measured(lab, session.states(lab, [max(sizes)])[0])
    if "check" in only:
        yield from checking.measured(lab)


@click.command()
@click.option("--only", default=",".join(PARTS), callback=chosen, help=f"Of {', '.join(PARTS)}.")
@click.option("--tools", default=",".join(tool.name for tool in TOOLS), callback=chosen, help="By name.")
@click.option("--sizes", default="100,1207", show_default=True, help="Numbers of resources.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each kind; the median counts.")
@click.option("--limit", default=60.0, show_default=True, help="CPU seconds: a tool that takes more is not run.")
@click.option("--quick", is_flag=True, help="One round with 60 resources: below three minutes.")
@click.option("--results", type=click.Path(path_type=Path), default=KEPT, help="A file that figures are added to.")
def main(only: list[str], tools: list[str], sizes: str, rounds: int, limit: float, quick: bool, results: Path) -> None:
    """Measure the same state on hosts kept by Hostwright and its peers, and print a table."""
    if reason := missing():
        raise click.ClickException(reason)
    if quick:
        only = [name for name in only if name in SCENARIOS]
        sizes, rounds, limit = "60", 1, 15.0
    kept = Results.read(results)
    named = [tool for tool in TOOLS if tool.name in tools]
    with Lab() as lab:
        kept.versions |= {tool.name: session.version(lab, tool) for tool in named}
        for figure in figures(lab, only, named, [int(size) for size in sizes.split(",")], rounds, limit):
            kept.add([figure])
            kept.write(results)
    print(markdown(kept))
    try:
        plot(kept, results.parent)
    except ImportError:
        print("no plot: `pip install --group benchmarks` brings matplotlib", file=sys.stderr)


if __name__ == "__main__":
    main()
