"""sshd's configuration in the order in which sshd reads it, from sshd_config through its Includes (sshd_config(5)). Of
most settings the first one counts, so another file can keep one of ours from being in force: ``obstacle`` names it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from agent.domain.question import UnsignedError
from agent.errors import DeployError
from agent.system.files import read_bounded

MAIN = "/etc/ssh/sshd_config"
FOLDER = "/etc/ssh/sshd_config.d"
DROP_IN = f"{FOLDER}/00-hostwright.conf"

UNITS = ("ssh.service", "sshd.service")
"""The names of sshd's unit: Debian's, and everybody else's. Where a host has both, they are one unit."""

_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+)(.*\S)\s*")
_DEPTH = 16
"""The depth to which sshd itself follows Includes."""

_GATHERED = frozenset({"allowusers", "allowgroups", "port"})
"""Settings of which all values count. One in another file is an obstacle: it would let in, or open, more than was asked
for."""

_UNITED = frozenset(
    {"acceptenv", "denyusers", "denygroups", "hostkey", "hostcertificate", "listenaddress", "subsystem"}
)
"""Settings of which all values count. One in another file is no obstacle: it may stand beside ours."""


@dataclass(frozen=True, slots=True)
class SshdSetting:
    """The place of one setting that holds for every connection. ``keyword`` is in lower case; lines count from 1."""

    keyword: str
    file: str
    line: int


class Configuration:
    """The settings of ``main`` and of all files that it includes, as if ``drop_in`` held ``text``."""

    def __init__(self, text: str, main: str = MAIN, drop_in: str = DROP_IN) -> None:
        self._main = main
        self._drop_in = drop_in
        self._text = text
        self._files_read: list[str] = []
        self._patterns_read: list[str] = []

    def obstacle(self, keywords: Iterable[str]) -> str:
        """The reason why one of these settings of the drop-in would not be in force; empty when all would be.
        Raises DeployError where ``main`` cannot be read."""
        said = self._settings
        if self._drop_in not in self._files_read:
            return f"{self._main} does not include it, or only below a Match"
        for keyword in keywords:
            if keyword in _UNITED:
                continue
            for one in (one for one in said if one.keyword == keyword):
                if one.file != self._drop_in:
                    return f"{one.file}, line {one.line}, sets {keyword} as well"
                if keyword not in _GATHERED:
                    break
        return ""

    def places(self) -> Iterator[str]:
        """The files that sshd reads, and the folders in which it looks for files.

        Raises DeployError where ``main`` cannot be read, UnsignedError where the folder of an Include is a pattern."""
        _ = self._settings
        yield from self._files_read
        for pattern in self._patterns_read:
            folder = posixpath.dirname(pattern)
            if any(sign in folder for sign in "*?["):
                raise UnsignedError(f"sshd reads the folders {folder}")
            yield folder

    def main_reading_drop_in_from(self, place: str) -> str:
        """The text of ``main``, with the drop-in replaced by the file ``place`` wherever it is included."""
        return "".join(f"{self._placed(line, place)}\n" for line in self._read(self._main).splitlines())

    def _placed(self, line: str, place: str) -> str:
        match = _LINE.fullmatch(line)
        if match is None or match[1].lower() != "include" or not self._leads_to_drop_in(match[2]):
            return line
        files = [place if file == self._drop_in else file for file in self._files(match[2])]
        return f"Include {' '.join(files)}"

    @cached_property
    def _settings(self) -> list[SshdSetting]:
        """All settings that hold for every connection, in the order in which sshd reads them. Those below a Match hold
        for some only, and are left out."""
        return list(self._said(self._main))

    def _said(self, file: str, depth: int = 0) -> Iterator[SshdSetting]:
        if depth > _DEPTH:
            return
        self._files_read.append(file)
        for number, line in enumerate(self._read(file).splitlines(), 1):
            match = _LINE.fullmatch(line)
            keyword = match[1].lower() if match else ""
            if keyword == "match":
                return
            if match and keyword == "include":
                self._patterns_read += self._patterns(match[2])
                for included in self._files(match[2]):
                    yield from self._said(included, depth + 1)
            elif keyword:
                yield SshdSetting(keyword, file, number)

    def _leads_to_drop_in(self, patterns: str) -> bool:
        return any(PurePosixPath(self._drop_in).match(pattern) for pattern in self._patterns(patterns))

    def _files(self, patterns: str) -> list[str]:
        files: list[str] = []
        for pattern in self._patterns(patterns):
            found = {f"{path}" for path in Path("/").glob(pattern.lstrip("/")) if not path.name.startswith(".")}
            if PurePosixPath(self._drop_in).match(pattern):
                found.add(self._drop_in)
            files += sorted(found)
        return files

    def _patterns(self, patterns: str) -> list[str]:
        folder = posixpath.dirname(self._main)
        return [posixpath.join(folder, pattern.strip('"')) for pattern in patterns.split()]

    def _read(self, file: str) -> str:
        """The text of ``file``; empty where it cannot be read. Raises DeployError if that file is ``main``."""
        if file == self._drop_in:
            return self._text
        try:
            return read_bounded(os.path.realpath(file)).decode(errors="surrogateescape")
        except OSError as error:
            if file != self._main:
                return ""
            raise DeployError(f"{file} cannot be read: {error.strerror or error}") from error
