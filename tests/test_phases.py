"""The phases that the docs draw are those that a cycle goes through."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from agent import converge, cycle, ending, judge_trial, remove_unwanted, select_target, steps
from agent.phases import PHASES, TRIAL, CyclePhase

ORDER = [phase.name for phase in PHASES]


def _function(phase: CyclePhase) -> Callable[..., object]:
    homes: tuple[ModuleType, ...] = (select_target, converge, judge_trial, remove_unwanted, ending)
    found: Callable[..., object] = next(vars(home)[phase.name] for home in homes if phase.name in vars(home))
    return found


def _calls(function: Callable[..., object]) -> list[str]:
    """The phases that ``function`` calls, in order, each once; ``converge`` stands for those that it goes through."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Call)]
    names = sorted((call.lineno, call.func.id) for call in calls if isinstance(call.func, ast.Name))
    found = [name for _, name in names]
    inside = {"converge": _calls(converge.run_phases)} if function is cycle.run else {}
    return list(dict.fromkeys(each for name in found for each in inside.get(name, [name]) if each in ORDER))


def test_a_cycle_goes_through_all_phases_in_their_order() -> None:
    assert _calls(cycle.run) == ORDER


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_each_phase_gives_what_is_said_of_it(phase: CyclePhase) -> None:
    assert phase.gives in inspect.signature(_function(phase)).return_annotation


BEHIND_THE_PHASES = {"derive_events", "evidence", "members", "publish", "remember", "report", "webhook_service"}
"""Steps that ``_end`` of the cycle calls, itself or by another step."""


def test_each_step_has_its_phase_or_comes_behind_the_phases() -> None:
    modules = {path.stem for path in Path(inspect.getfile(steps)).parent.glob("[a-z]*.py")}
    assert {step for phase in PHASES for step in phase.steps} | BEHIND_THE_PHASES == modules


def test_each_state_of_a_trial_leads_on_or_ends() -> None:
    befores, afters = ({row[column] for row in TRIAL} for column in (0, 2))
    assert afters - befores == {"confirmed", "rolled-back"}
    assert befores - afters == {"no trial"}
