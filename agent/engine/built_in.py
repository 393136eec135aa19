"""A built-in deploy in the engine child: its corrections, found without pyinfra."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.correction import Correction
from agent.domain.plan import WantedChange
from agent.engine.code import UnpreparedError, explain
from agent.engine.protocol import Order
from agent.errors import DeployError

_KIND = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The differences of a built-in deploy, as they are now."""

    name: str
    corrections: tuple[Correction, ...]
    unowned: int = 0

    @property
    def changes(self) -> tuple[WantedChange, ...]:
        return tuple(correction.change for correction in self.corrections)

    @property
    def resources(self) -> tuple[str, ...]:
        """Keys of what changes; the desired state has all others."""
        return tuple(dict.fromkeys(change.resource for change in self.changes))


def look(order: Order, root: Path) -> BuiltIn:
    """Find out what differs now. ``root``: the folder of the commit's files. Raises UnpreparedError."""
    try:
        if not _KIND.fullmatch(order.kind):
            raise DeployError(f"{order.kind!r} is not the name of a built-in deploy")
        module = importlib.import_module(f"agent.deploys.{order.kind}.corrections")
        return BuiltIn(order.name, tuple(module.corrections(order.arguments, root)))
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, [])) from error
