"""What of the wanted settings is not so, now or at the next boot, and putting it right. No pyinfra in here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.deploys.sysctl.host import Kernel, overrides
from agent.deploys.sysctl.keys import Line
from agent.errors import DeployError


@dataclass(frozen=True, slots=True)
class Wanted:
    key: str
    value: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One setting that is not as it should be. ``set``: the kernel has another value. ``write``: our file does not say
    it. ``has``: what the kernel has, None for nothing. ``override``: why it will not last; nothing here mends that.
    ``refused``: why it cannot be made at all."""

    wanted: Wanted
    has: str | None
    set: bool
    write: bool
    override: str
    refused: DeployError | None = None

    @property
    def operation(self) -> str:
        words = [f"set to {self.wanted.value} (was {self.has})"] if self.set else []
        words += ["write it to our file for the next boot"] if self.write else []
        return ", ".join([*words, self.override] if self.override else words)


def steps(kernel: Kernel, wanted: Iterable[Wanted]) -> list[Step]:
    """What differs, in order; what cannot be made comes last. Changes nothing. Raises DeployError where our file cannot
    be read."""
    wanted = list(wanted)
    try:
        lines, proper = kernel.lines(), kernel.file_is_proper()
    except OSError as error:
        raise DeployError(f"kernel settings cannot be read: {error}") from error
    undone = overrides(kernel, {each.key: each.value for each in wanted})
    found: list[Step] = []
    refused: list[Step] = []
    for each in wanted:
        try:
            has = _value(kernel, each)
        except DeployError as error:
            refused.append(Step(each, None, set=False, write=False, override="", refused=error))
            continue
        step = Step(
            each,
            has,
            set=has is not None and has != each.value,
            write=not (proper and _says(lines.get(each.key), each)),
            override=undone.get(each.key, ""),
        )
        found += [step] if step.operation else []
    return [*found, *refused]


def _value(kernel: Kernel, wanted: Wanted) -> str | None:
    """What the kernel has. Raises DeployError where it has no such setting, or does not tell."""
    try:
        value = kernel.value(wanted.key)
    except OSError as error:
        raise DeployError(f"{wanted.key} cannot be read: {error.strerror or error}") from error
    if value is None and not wanted.optional:
        raise DeployError(
            f"the kernel of this host has no {wanted.key}",
            hint="correct the name, load the module that brings it before, or say `optional: true`",
        )
    return value


def carry_out(kernel: Kernel, step: Step) -> None:
    """Raises DeployError when it cannot be done, or does not last; what could be done then is."""
    wanted = step.wanted
    if step.write:
        kernel.write(wanted.key, Line(wanted.value, wanted.optional, step.has if step.set else None))
    if step.set:
        kernel.set(wanted.key, wanted.value)
    if step.override:
        raise DeployError(f"{wanted.key}: {step.override}")


def _says(line: Line | None, wanted: Wanted) -> bool:
    return line is not None and (line.value, line.optional) == (wanted.value, wanted.optional)
