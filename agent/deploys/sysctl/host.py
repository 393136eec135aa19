"""The kind ``sysctl``: a kernel setting, made of a line in the agent's file and of the value that the kernel has.

A kernel always has a value, so the setting counts as there if the line is there. The value from before the line stands
in the file itself, as a comment (``SettingLine.was``), and so in the state that a cycle left. ``Kernel`` has the
values, our file, and the files that are read beside it at boot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.correction import Correction, each_alone
from agent.deploys.kind import Kind, ResourceState, state_before
from agent.deploys.sysctl import keys
from agent.deploys.sysctl.keys import SettingLine
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question, QuestionKind
from agent.errors import DeployError
from agent.system.files import explained, read_bounded, write_atomic
from agent.system.systemd import booted

_VALUE_LIMIT = 64 * 1024
"""Bytes of a value. The kernel makes a buffer as large as what is asked for, and refuses (ENOMEM) at some megabytes."""

_FILE_MODE = 0o644
_NAME = "90-hostwright.conf"
_FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
"""Of files with the same name the one in the first of these folders counts (sysctl.d(5))."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel settings of a host. ``root``: the folder in which its file system begins; other than / only in
    tests."""

    root: Path = Path("/")

    @property
    def file(self) -> Path:
        return self.root / "etc/sysctl.d" / _NAME

    def value(self, key: str) -> str | None:
        """The kernel's value, with single spaces; None where the kernel has no such setting. Raises OSError where
        nobody may read it."""
        try:
            return keys.normalised(read_bounded(self._path(key), _VALUE_LIMIT).decode(errors="replace"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def questions(self, wanted: Iterable[str]) -> Iterator[Question]:
        """The questions that the values of these settings, and the files of all settings, rest on."""
        yield from (Question(QuestionKind.VALUE, f"{self._path(key)}") for key in wanted)
        for folder in _FOLDERS:
            yield from about.below(self.root / folder)
        yield from about.through(self.root / "etc/sysctl.conf")

    def set(self, key: str, value: str) -> None:
        """Give the kernel this ``value``. Raises DeployError if the kernel does not take it, or makes it another."""
        try:
            descriptor = os.open(self._path(key), os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"{value}\n".encode())
            finally:
                os.close(descriptor)
            has = self.value(key)
        except OSError as error:
            raise DeployError(f"{key} cannot be set to {value}: {error.strerror or error}") from error
        if has != value:
            hint = "write the value as the kernel shows it"
            raise DeployError(f"{key} was set to {value}, and the kernel made it {has}", hint=hint)

    def lines(self) -> dict[str, SettingLine]:
        """The settings of our file by name; none where there is no file."""
        return keys.parsed(self._text())

    def file_is_proper(self) -> bool:
        """True where our file has the right mode and owner."""
        try:
            status = self.file.lstat()
        except FileNotFoundError:
            return False
        return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (_FILE_MODE, 0, 0)

    def write(self, key: str, line: SettingLine | None) -> None:
        """Write our file with this ``line`` for ``key``; without one if it is None. A file without any line is removed.
        Raises DeployError."""
        try:
            text = self._text()
            lines = keys.parsed(text)
            if line is not None:
                known = keys.values_before(text).get(key)
                lines[key] = line if known is None and key not in lines else replace(line, was=known)
            else:
                lines.pop(key, None)
            text = keys.written(lines)
            if text:
                self.file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                write_atomic(self.file, text.encode(), mode=_FILE_MODE)
            else:
                self.file.unlink(missing_ok=True)
        except OSError as error:
            raise DeployError(f"{self.file}: {explained(error, self.file).strerror or error}") from error

    def files(self, *, after_ours: bool) -> list[tuple[str, str]]:
        """The other files of settings, name and text, in the order in which they are read at boot: all of them, or
        those whose settings count more than ours."""
        found: dict[str, Path] = {}
        for folder in reversed(_FOLDERS):
            for path in (self.root / folder).glob("*.conf"):
                found[path.name] = path
        ordered = [found[name] for name in sorted(found) if (name > _NAME if after_ours else name != _NAME)]
        if not booted():
            # procps reads it last. systemd reads it only if a link in /etc/sysctl.d leads to it.
            ordered.append(self.root / "etc/sysctl.conf")
        texts: list[tuple[str, str]] = []
        for path in ordered:
            with suppress(OSError):  # a link that leads nowhere, or to /dev/null: it says nothing
                texts.append((f"{path}", read_bounded(path.resolve()).decode(errors="replace")))
        return texts

    def _text(self) -> str:
        try:
            return read_bounded(self.file).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _path(self, key: str) -> Path:
        return self.root / "proc/sys" / keys.path_below(key)


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
