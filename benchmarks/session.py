"""One state, written by every tool on a host of its own: the tools take turns, so that a slow moment meets all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Cost, cost, root_of
from benchmarks.results import Figure
from benchmarks.states import State, differences, let_drift, signature, state_of, wreck
from benchmarks.tools.tool import SUITE, Tool
from tests.lab.host import Host
from tests.lab.lab import Lab

PACKAGES = 30
"""Those of the image, so that nothing has to be fetched."""

SLOW_S = 20.0
"""CPU seconds. A command that takes more is not repeated."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``spoil`` breaks the state before each run, which then has to mend it. Without it, a run may change nothing."""

    name: str
    command: Callable[[Tool], str] = lambda tool: tool.run
    spoil: Callable[[Path, State], None] | None = None


SCENARIOS = (
    Scenario("look", lambda tool: tool.look),
    Scenario("no-op"),
    Scenario("one file", spoil=let_drift),
    Scenario("rebuilt", spoil=wreck),
)


class Wrong(AssertionError):
    """A tool did not do what it was measured at."""


def states(lab: Lab, sizes: Sequence[int]) -> Sequence[State]:
    """A state of each size, the smallest first."""
    with lab.boot(SUITE) as bare:
        packages = bare.run(["dpkg-query", "--show", "--showformat=${Package}\n"]).output.split()[:PACKAGES]
    return [state_of(size, tuple(packages)) for size in sorted(sizes)]


def version(lab: Lab, tool: Tool) -> str:
    """What the tool says of its version, without its name."""
    with lab.boot(SUITE, image=tool.image_of()) as host:
        named = re.search(r"[0-9]+\.[0-9.]+", host.run(tool.version).output)
        return named[0] if named else ""


def measured(
    lab: Lab, tools: Sequence[Tool], states: Sequence[State], scenarios: Sequence[Scenario], rounds: int, limit_s: float
) -> Iterator[Figure]:
    """Figures of each state, the smallest first. A tool is left out where a run takes more than ``limit_s`` of CPU: as
    it took to converge, or as it would by what it took for the state before."""
    hosts = {tool.name: lab.boot(SUITE, image=tool.image_of()) for tool in tools}
    took: dict[str, float] = {}
    smaller = 1
    for state in states:
        took = {name: seconds * state.size / smaller for name, seconds in took.items()}
        for tool in tools:
            if took.get(tool.name, 0) <= limit_s:
                tool.tell(hosts[tool.name], state)
                first = cost(hosts[tool.name], tool.run)
                _require(tool, hosts[tool.name], state)
                print(f"{state.size} resources, {tool.name} converged: {first.cpu:.1f} s CPU", file=sys.stderr)
                took[tool.name] = first.cpu
        present = [tool for tool in tools if took[tool.name] <= limit_s]
        for scenario in scenarios:
            for name, costs in _in_turns(scenario, present, hosts, state, rounds).items():
                yield Figure.of(scenario.name, state.size, name, costs)
            for name in took.keys() - {tool.name for tool in present}:
                yield Figure(scenario.name, state.size, name, note=f"about {took[name]:,.0f}")
        smaller = state.size


def _in_turns(
    scenario: Scenario, tools: Sequence[Tool], hosts: Mapping[str, Host], state: State, rounds: int
) -> Mapping[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {tool.name: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            known = costs[tool.name]
            if not known or known[0].cpu < SLOW_S:
                known.append(run(scenario, tool, hosts[tool.name], state))
                print(f"{state.size} resources, {scenario.name}, {tool.name}: {known[-1].cpu:.2f}", file=sys.stderr)
    return costs


def run(scenario: Scenario, tool: Tool, host: Host, state: State) -> Cost:
    """The cost of one run, which is seen to mend the host, or to change nothing. Raises Wrong, HostError."""
    root = root_of(host)
    if scenario.spoil:
        scenario.spoil(root, state)
        if not any(differences(root, state)):
            raise Wrong(f"{scenario.name} spoils nothing")
    before = signature(root, state) if not scenario.spoil else {}
    found = cost(host, scenario.command(tool))
    _require(tool, host, state)
    if before and (changed := [path for path, at in signature(root, state).items() if at != before[path]]):
        raise Wrong(f"{tool.name} changed {changed[0]} of a state that it held")
    return found


def _require(tool: Tool, host: Host, state: State) -> None:
    wrong = next(differences(root_of(host), state), "")
    if wrong:
        raise Wrong(f"{tool.name}: {wrong}\n{host.run('tail -n 40 /run/said', check=False).output}")
