"""What people and programs see: data on stdout, talk on stderr, one JSON envelope for every command."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console

from agent import __version__
from agent.domain.text import escaped
from agent.errors import Consequence, HostwrightError

ENVELOPE_VERSION = 1

UNLIMITED_WIDTH = 10_000
"""Columns; programs that read our tables line by line wrap nothing."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's words go. With ``as_json`` stdout carries the envelope and nothing else."""

    as_json: bool = False
    verbose: bool = False
    out: Console = field(default_factory=lambda: _console(sys.stdout))
    err: Console = field(default_factory=lambda: _console(sys.stderr))

    def say(self, text: str) -> None:
        """Talk: one line on stderr."""
        self.err.print(fit(text), markup=False)

    def detail(self, text: str) -> None:
        """Talk that only ``-v`` wants."""
        if self.verbose:
            self.say(text)

    def show(self, renderable: Any) -> None:
        """Data for people: a text, a table. Not printed with ``--json``."""
        if not self.as_json:
            # A terminal obeys what it is shown: a diff holds what any user of the host may have written.
            if isinstance(renderable, str):
                self.out.print(fit(renderable) if self.out.is_terminal else renderable, markup=False)
                return
            with self.out.capture() as printed:
                self.out.print(renderable)
            # A table fills its last column up; whoever reads it line by line has no use for that.
            self.out.file.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))

    def envelope(self, command: str, exit_code: int, data: Any, error: Mapping[str, Any] | None = None) -> None:
        """Data for programs, with ``--json`` only."""
        sys.stdout.write(self.enveloped(command, exit_code, data, error))

    def enveloped(self, command: str, exit_code: int, data: Any, error: Mapping[str, Any] | None = None) -> str:
        """The same for whoever writes it; empty without ``--json``."""
        if not self.as_json:
            return ""
        document = {
            "format": ENVELOPE_VERSION,
            "hostwright": __version__,
            "command": command,
            "exit": exit_code,
            "data": data,
            "error": error,
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def failure(self, command: str, error: HostwrightError) -> int:
        """One line of what happened and one of what to do; the exit code."""
        self.say(f"hostwright: {error.message}")
        if error.hint:
            self.say(f"  → {error.hint}")
        self.envelope(command, int(error.exit), None, error_document(error))
        return int(error.exit)


def fit(text: str) -> str:
    """``text`` with its lines and tabs as they are, and everything else that could move a cursor escaped."""
    return "\n".join("\t".join(escaped(part) for part in line.split("\t")) for line in text.split("\n"))


def _console(file: TextIO) -> Console:
    """A table is as wide as it has to be, unless a terminal has less room."""
    width = None if file.isatty() else UNLIMITED_WIDTH
    return Console(file=file, highlight=False, soft_wrap=True, emoji=False, width=width)


def error_document(error: HostwrightError) -> dict[str, Any]:
    """An error as the envelope and the report carry it."""
    return {
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "consequence": str(error.consequence),
        "exit": int(error.exit),
    }


def bug(error: Exception, trace: str) -> HostwrightError:
    """A bug as an error of its own, with everything that a report of it needs."""
    return HostwrightError(
        f"this is a bug: {type(error).__name__}: {error}",
        kind="bug",
        hint=f"please report it with the following\nhostwright {__version__}, Python {sys.version.split()[0]}\n{trace}",
        consequence=Consequence.STALL,
    )
