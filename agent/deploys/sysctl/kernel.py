"""The host's side of sysctl: the kernel's values, our file, and the files that are read beside it at boot."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.sysctl import keys
from agent.deploys.sysctl.keys import SettingLine
from agent.domain.question import Question, QuestionKind
from agent.errors import DeployError
from agent.system.files import explained, read_bounded, write_atomic
from agent.system.systemd import booted

VALUE_LIMIT = 64 * 1024
"""Bytes of a value. The kernel makes a buffer as large as what is asked for, and refuses (ENOMEM) at some megabytes."""

FILE_MODE = 0o644
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
            return keys.normalised(read_bounded(self._path(key), VALUE_LIMIT).decode(errors="replace"))
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
        return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (FILE_MODE, 0, 0)

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
                write_atomic(self.file, text.encode(), mode=FILE_MODE)
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
