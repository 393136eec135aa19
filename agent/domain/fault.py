"""Mistakes in files that people write: the value, the problem, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent.errors import InventoryError
from agent.problems import ProblemKind

KeyPath = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake. ``path`` leads to the value; it begins at the value that the reader was given."""

    problem: str
    remedy: str
    path: KeyPath = ()

    def __str__(self) -> str:
        """``/etc/motd.source: there is no …; did you mean …?``"""
        where = key_path(self.path)
        return (f"{where}: " if where else "") + f"{self.problem}; {self.remedy}"


def key_path(path: KeyPath) -> str:
    """``path`` as people write it: ``[0].deploys[1].files.mode``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class Mistake(InventoryError, ValueError):
    """One or more faults. It is a ValueError too, so that pydantic's validators may raise it."""

    def __init__(self, problem: str, remedy: str, path: KeyPath = (), *, kind: ProblemKind | None = None) -> None:
        super().__init__(problem, hint=remedy, kind=kind)
        self.faults: tuple[Fault, ...] = (Fault(problem, remedy, path),)

    @classmethod
    def of(cls, faults: Iterable[Fault], *, kind: ProblemKind | None = None) -> Mistake:
        """One Mistake for all of ``faults``, at least one."""
        faults = tuple(dict.fromkeys(faults))
        remedies = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        mistake = cls("\n".join(fault.problem for fault in faults), remedies, kind=kind)
        mistake.faults = faults
        return mistake

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))

    def below(self, *path: str | int) -> tuple[Fault, ...]:
        """The faults with ``path`` put before theirs."""
        return tuple(replace(fault, path=(*path, *fault.path)) for fault in self.faults)


def compiled(pattern: str, problem: str, flags: int = 0) -> re.Pattern[str]:
    """``pattern`` compiled. Raises Mistake, which begins with ``problem``, if it is no regular expression."""
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else f"{error}"
        raise Mistake(f"{problem}: {why}", "put a backslash before what is meant as it is: . * [ (") from None


def refuse_truth(value: object) -> object:
    """``value``, if it is neither true nor false. Raises Mistake otherwise: YAML reads ``yes`` and ``on`` as true."""
    if isinstance(value, bool):
        raise Mistake(
            "a truth value (true, yes, on and the like) is no number", "write the number, or put it in quotes"
        )
    return value
