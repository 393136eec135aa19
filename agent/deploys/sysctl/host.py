"""The kind ``sysctl``: a kernel setting, made of a line in the agent's file and of the value that the kernel has.

A kernel always has a value, so the setting counts as there if the line is there. The value from before the line stands
in the file itself, as a comment (``SettingLine.was``), and so in the state that a cycle left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.deploys.correction import Correction, each_alone
from agent.deploys.kind import Kind, ResourceState, state_before
from agent.deploys.sysctl import keys
from agent.deploys.sysctl.kernel import Kernel
from agent.deploys.sysctl.keys import SettingLine
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError


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

    def corrections(self, arguments: Mapping[str, JSON], _root: Path = Path("/")) -> list[Correction]:
        """The correction of each setting that differs. Raises DeployError if our file cannot be read."""
        try:
            lines = self._kernel.lines() if self._kernel.file_is_proper() else {}
        except OSError as error:
            raise DeployError(f"kernel settings cannot be read: {error}") from error
        later = self._kernel.files(after_ours=True)
        return each_alone(
            {
                f"sysctl:{key}": partial(self._correction, key, setting, lines.get(key), keys.said_last(later, key))
                for key, setting in _wanted(arguments).items()
            }
        )

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        return self._kernel.questions(_wanted(arguments))

    def make(self, key: str, line: SettingLine | None, value: str | None, override: str) -> None:
        """Write the ``line`` to our file and give the kernel the ``value``; None if either is so already. ``override``:
        the reason why the value will not last, which nothing here mends; empty if it will. Raises DeployError if
        something cannot be done, or will not last; what was done before stays."""
        if line is not None:
            self._kernel.write(key, line)
        if value is not None:
            self._kernel.set(key, value)
        if override:
            raise DeployError(f"{key}: {override}")

    def changed(self, left: ResourceState, now: Seen) -> str:
        """The difference of the line, in words. Another value in the kernel alone does not count: it would not last
        anyway."""
        return "" if left.get("line") == now.state.get("line") else f"its line now says {now.state.get('line')}"

    def remove_one(self, entry: LedgerEntry) -> None:
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

    def _correction(
        self, key: str, wanted: SettingLine, line: SettingLine | None, later: tuple[str, str] | None
    ) -> Correction | None:
        """The correction of one setting; None if it is as wanted. ``line``: its line in our file, None if there is none
        or the file's mode or owner is wrong. ``later``: the file that sets it after ours, and its value. Raises
        DeployError if the kernel has no such setting, or its value cannot be read."""
        try:
            has = self._kernel.value(key)
        except OSError as error:
            raise DeployError(f"{key} cannot be read: {error.strerror or error}") from error
        if has is None and not wanted.optional:
            raise DeployError(
                f"the kernel of this host has no {key}",
                hint="correct the name, load the module that brings it before, or say `optional: true`",
            )
        written = line is not None and replace(line, was=None) == wanted
        replaced = None if has == wanted.value else has
        words = [f"set to {wanted.value} (was {replaced})"] if replaced is not None else []
        words += ["write it to our file for the next boot"] if not written else []
        override = ""
        if later is not None and later[1] != wanted.value:
            override = f"{later[0]} sets it to {later[1]} at the next boot; take that line away"
            words.append(override)
        if not words:
            return None
        due = None if written else replace(wanted, was=replaced)
        value = None if replaced is None else wanted.value
        return Correction(WantedChange(f"sysctl:{key}", ", ".join(words)), self.make, key, due, value, override)


def _wanted(arguments: Mapping[str, JSON]) -> Mapping[str, SettingLine]:
    return from_plain(arguments["settings"], dict[str, SettingLine])


def _text(state: ResourceState, word: str) -> str | None:
    value = state.get(word)
    return value if isinstance(value, str) else None


corrections, questions = KernelSetting().corrections, KernelSetting().questions
