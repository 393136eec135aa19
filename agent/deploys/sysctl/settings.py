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
    it. ``has``: what the kernel has, None for nothing. ``override``: why it will not last; nothing here mends that."""

    wanted: Wanted
    has: str | None
    set: bool
    write: bool
    override: str

    @property
    def operation(self) -> str:
        words = [f"set to {self.wanted.value} (was {self.has})"] if self.set else []
        words += ["write it to our file for the next boot"] if self.write else []
        return ", ".join([*words, self.override] if self.override else words)


def steps(kernel: Kernel, wanted: Iterable[Wanted]) -> list[Step]:
    """What differs, in order. Changes nothing. Raises DeployError naming all settings that the kernel does not have,
    or that cannot be read."""
    wanted = list(wanted)
    try:
        values = {each.key: kernel.value(each.key) for each in wanted}
        lines, proper = kernel.lines(), kernel.file_is_proper()
    except OSError as error:
        raise DeployError(f"kernel settings cannot be read: {error}") from error
    missing = [each.key for each in wanted if values[each.key] is None and not each.optional]
    if missing:
        raise DeployError(
            f"the kernel of this host has no {', '.join(missing)}",
            hint="correct the name, load the module that brings it before, or say `optional: true`",
        )
    undone = overrides(kernel, {each.key: each.value for each in wanted})
    found = [
        Step(
            each,
            has := values[each.key],
            set=has is not None and has != each.value,
            write=not (proper and _says(lines.get(each.key), each)),
            override=undone.get(each.key, ""),
        )
        for each in wanted
    ]
    return [step for step in found if step.operation]


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
