"""A built-in deploy in the engine child: its corrections, found without pyinfra."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from agent.deploys.correction import Correction
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, UnsignedError, UnsteadyError
from agent.engine.code import UnpreparedError, explain
from agent.engine.protocol import Order
from agent.errors import DeployError, HostwrightError
from agent.trace import answers

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
        part = _part_to_look_at(order)
        if part is None:
            module = _module(order)
            found = _trace(module.questions, order) if traced else ""
            return BuiltIn(order.name, tuple(module.corrections(order.arguments, root)), trace=found)
        found, arguments = part
        corrections = _module(order).corrections(arguments, root) if arguments is not None else ()
        return BuiltIn(order.name, tuple(corrections), trace=found if traced else "")
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, [])) from error


def _module(order: Order) -> ModuleType:
    return importlib.import_module(f"agent.deploys.{order.kind}.corrections")


def _part_to_look_at(order: Order) -> tuple[str, Mapping[str, JSON] | None] | None:
    """After an earlier look: its trace with the answers of now, and the arguments of what may be found another way than
    then (None: nothing). None where that may be all: the earlier look wanted most of it, or an answer changed that is
    about more than single items."""
    earlier = order.earlier
    if earlier is None or 2 * len(earlier.wanted) > earlier.trace.count("\n"):
        return None
    try:
        renewed = answers.renewed(earlier.trace)
    except (UnsignedError, UnsteadyError, HostwrightError, OSError):
        return None
    if renewed is None:
        return None
    trace, changed = renewed
    if not changed and not earlier.wanted:
        return trace, None
    narrow = getattr(_module(order), "narrow", None)
    arguments = narrow(order.arguments, changed, earlier.wanted) if narrow is not None else None
    return None if arguments is None else (trace, arguments)


def _trace(questions: Callable[[Mapping[str, JSON]], Iterable[Question]], order: Order) -> str:
    try:
        found = answers.trace(questions(order.arguments))
        return found or answers.unsigned(f"{order.name}: there is nothing to look at")
    except UnsteadyError as error:
        return answers.unsteady(f"{order.name}: {error}")
    except (UnsignedError, HostwrightError, OSError) as error:
        return answers.unsigned(f"{order.name}: {error}")
