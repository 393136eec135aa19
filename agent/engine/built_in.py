"""A built-in deploy in the engine child: its corrections, found without pyinfra."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.correction import Correction
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, UnsignedError, UnsteadyError
from agent.engine.code import UnpreparedError, explain
from agent.engine.protocol import Order
from agent.errors import DeployError, HostwrightError
from agent.trace.answers import trace, unsigned, unsteady

_KIND = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The differences of a built-in deploy, as they are now."""

    name: str
    corrections: tuple[Correction, ...]
    unowned: int = 0
    trace: str = ""
    """From before the look, where it was asked for."""

    @property
    def changes(self) -> tuple[WantedChange, ...]:
        return tuple(correction.change for correction in self.corrections)

    @property
    def resources(self) -> tuple[str, ...]:
        """Keys of what changes; the desired state has all others."""
        return tuple(dict.fromkeys(change.resource for change in self.changes))


def look(order: Order, root: Path, *, traced: bool = False) -> BuiltIn:
    """Find out what differs now. ``root``: the folder of the commit's files. ``traced``: with the answers to what the
    look rests on. Raises UnpreparedError."""
    try:
        if not _KIND.fullmatch(order.kind):
            raise DeployError(f"{order.kind!r} is not the name of a built-in deploy")
        module = importlib.import_module(f"agent.deploys.{order.kind}.corrections")
        found = _trace(module.questions, order) if traced else ""
        return BuiltIn(order.name, tuple(module.corrections(order.arguments, root)), trace=found)
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, [])) from error


def _trace(questions: Callable[[Mapping[str, JSON]], Iterable[Question]], order: Order) -> str:
    try:
        return trace(questions(order.arguments)) or unsigned(f"{order.name}: there is nothing to look at")
    except UnsteadyError as error:
        return unsteady(f"{order.name}: {error}")
    except (UnsignedError, HostwrightError, OSError) as error:
        return unsigned(f"{order.name}: {error}")
