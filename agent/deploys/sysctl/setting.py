"""The kind ``sysctl``: a kernel setting, by its line in the agent's file and the value that it gives the kernel.

A setting always has a value, so "was there before" is asked of the line. The value from before stands in the file
itself, as a comment on the line (``SettingLine.was``), and so in what a cycle left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from agent.deploys.correction import Correction, refusal
from agent.deploys.kind import Kind, State, state_before
from agent.deploys.sysctl import keys
from agent.deploys.sysctl.kernel import Kernel
from agent.deploys.sysctl.keys import SettingLine
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError


@dataclass(frozen=True, slots=True)
class WantedSetting:
    """``optional``: the kernel may be without it."""

    value: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """The difference of the setting ``key``. ``replaced``: the kernel's other value, None where it is not to be set.
    ``write``: our file does not say it. ``override``: why it will not last, which nothing here mends."""

    key: str
    wanted: WantedSetting
    replaced: str | None
    write: bool
    override: str

    @property
    def operation(self) -> str:
        """In words; empty where nothing differs."""
        words = [f"set to {self.wanted.value} (was {self.replaced})"] if self.replaced is not None else []
        words += ["write it to our file for the next boot"] if self.write else []
        return ", ".join([*words, self.override] if self.override else words)


class KernelSetting(Kind):
    """State: ``line`` (the value in our file), ``optional``, ``was`` (the kernel's value before), ``value`` (the
    kernel's)."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Kernel()

    def look(self, name: str) -> Seen | None:
        line = self._kernel.lines().get(name)
        if line is None:
            return None
        value = self._kernel.value(name)
        return Seen({"line": line.value, "optional": line.optional, "was": line.was, "value": value})

    def corrections(self, wanted: Mapping[str, WantedSetting]) -> list[Correction]:
        """Find what differs from ``wanted``, in its order; what cannot be made comes last. Raises DeployError where our
        file cannot be read."""
        try:
            lines = self._kernel.lines() if self._kernel.file_is_proper() else {}
        except OSError as error:
            raise DeployError(f"kernel settings cannot be read: {error}") from error
        later = self._kernel.files(after_ours=True)
        made: list[Correction] = []
        refused: list[Correction] = []
        for key, setting in wanted.items():
            try:
                difference = self._difference(key, setting, lines.get(key), keys.said_last(later, key))
            except DeployError as error:
                refused.append(refusal(f"sysctl:{key}", error))
                continue
            if operation := difference.operation:
                made.append(Correction(WantedChange(f"sysctl:{key}", operation), self.make, difference))
        return [*made, *refused]

    def questions(self, wanted: Iterable[str]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        yield from self._kernel.questions(wanted)

    def make(self, difference: SettingDifference) -> None:
        """Raises DeployError when it cannot be done, or does not last; what could be done then is."""
        key, wanted = difference.key, difference.wanted
        if difference.write:
            self._kernel.write(key, SettingLine(wanted.value, wanted.optional, difference.replaced))
        if difference.replaced is not None:
            self._kernel.set(key, wanted.value)
        if difference.override:
            raise DeployError(f"{key}: {difference.override}")

    def changed(self, left: State, now: Seen) -> str:
        """Say how the line differs. Another value in the kernel alone does not count: it would not last anyway."""
        return "" if left.get("line") == now.state.get("line") else f"its line now says {now.state.get('line')}"

    def remove_one(self, entry: LedgerEntry, *, purge: bool) -> None:  # noqa: ARG002 - all of it goes
        """Remove the line. The kernel gets the value that the next boot would give it by the other files, or else the
        one that it had before; a value that somebody set since stays."""
        line = self._kernel.lines().get(entry.name)
        if line is None:
            return
        self._kernel.write(entry.name, None)
        said = keys.said_last(self._kernel.files(after_ours=False), entry.name)
        before = said[1] if said else line.was or _text(entry.left or {}, "was")
        with suppress(OSError, DeployError):  # the line is gone: at the next boot at the latest it is as before
            if before is not None and self._kernel.value(entry.name) == line.value:
                self._kernel.set(entry.name, before)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:  # noqa: ARG002 - a line has no image
        before = state_before(entry)
        line, value = _text(before, "line"), _text(before, "value")
        if line is None:
            raise DeployError(f"{entry.key}: the ledger does not say what it was before")
        self._kernel.write(entry.name, SettingLine(line, bool(before.get("optional")), _text(before, "was")))
        if value is not None:
            self._kernel.set(entry.name, value)

    def _difference(
        self, key: str, wanted: WantedSetting, line: SettingLine | None, later: tuple[str, str] | None
    ) -> SettingDifference:
        """``line``: what our file says, if mode and owner are right. ``later``: the file that counts more, and its
        value. Raises DeployError where the kernel has no such setting, or does not tell."""
        try:
            has = self._kernel.value(key)
        except OSError as error:
            raise DeployError(f"{key} cannot be read: {error.strerror or error}") from error
        if has is None and not wanted.optional:
            raise DeployError(
                f"the kernel of this host has no {key}",
                hint="correct the name, load the module that brings it before, or say `optional: true`",
            )
        written = line is not None and (line.value, line.optional) == (wanted.value, wanted.optional)
        override = ""
        if later is not None and later[1] != wanted.value:
            override = f"{later[0]} sets it to {later[1]} at the next boot; take that line away"
        return SettingDifference(key, wanted, None if has == wanted.value else has, not written, override)


def _text(state: State, word: str) -> str | None:
    value = state.get(word)
    return value if isinstance(value, str) else None
