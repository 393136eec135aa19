"""The output for people and programs: data on stdout, talk on stderr, one JSON envelope for every command.

Only this module writes to a terminal, and only it uses rich, which it loads only for a spinner or a bar. All text is
escaped: none of it is markup, moves a cursor, or begins another row.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TextIO, cast

from agent import __version__
from agent.domain.text import escaped
from agent.errors import Consequence, HostwrightError
from agent.problems import ProblemKind
from agent.system.mask import masked, masked_parts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from agent.system.download import OnProgress

ENVELOPE_VERSION = 1

UNLIMITED_WIDTH = 100_000
"""Columns of a stdout that is no terminal: programs read tables line by line, so nothing is wrapped."""

_GAP = "  "
_QUOTED = "  | "
_NARROWEST = 20
"""The fewest columns to which text is wrapped, on any terminal."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A stream whose reader may leave. After an error of the type ``forgiven`` all further text is dropped: no error
    must be raised in a callback, because it would cut off the operation that the text is about."""

    _file: TextIO
    _forgiven: type[OSError]
    _name: str
    """The name of the stream for people."""

    def write(self, text: str) -> int:
        with self._forgiving():
            self._file.write(text)
        return len(text)

    @property
    def buffer(self) -> _Told:
        """The stream for bytes. Raises AttributeError if there is none."""
        return _Told(cast("TextIO", self._file.buffer), self._forgiven, self._name)

    def write_bytes(self, data: bytes) -> None:
        """Write ``data`` unchanged, after all text that was written before."""
        self.flush()
        buffer = getattr(self._file, "buffer", None)
        if buffer is None:
            self.write(data.decode(errors="replace"))
            return
        with self._forgiving():
            buffer.write(data)
            buffer.flush()

    def flush(self) -> None:
        with self._forgiving():
            self._file.flush()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except self._forgiven:
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), self._file.fileno())
        except OSError as error:
            error.filename = error.filename or self._name
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@dataclass(slots=True)
class Spinner:
    """One line that tells what is being done now; nothing without a console."""

    _console: Console | None
    _status: Status | None = None

    def show(self, text: str) -> None:
        from rich.text import Text

        if self._console is None:
            return
        line = Text(masked(escaped(text)))  # a str may hold markup
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        else:
            self._status.update(line)

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class Output:
    """The output of a command. With ``as_json`` only the envelope goes to stdout."""

    def __init__(
        self, as_json: bool = False, verbose: bool = False, *, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.as_json, self.verbose = as_json, verbose
        self._out = _Told(_stream(out or sys.stdout), BrokenPipeError, "stdout")
        self._err = _Told(_stream(err or sys.stderr), OSError, "stderr")

    @cached_property
    def _console(self) -> Console:
        """The console of rich on stderr. Once it exists it prints all lines: a spinner or a bar may be there."""
        from rich.console import Console

        return Console(file=cast("TextIO", self._err), highlight=False, soft_wrap=True, emoji=False)

    def say(self, text: str) -> None:
        """Write a line of talk to stderr. Further lines of ``text`` are marked as quoted."""
        self._talk(text, end="\n")

    def ask(self, question: str) -> bool:
        """Ask the person at the terminal. Return True for yes."""
        self._talk(f"{question} [y/N] ", end="")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _talk(self, text: str, *, end: str) -> None:
        text = fit(masked(text))
        if "_console" in vars(self):
            self._console.out(text, end=end, highlight=False)
        else:
            self._err.write(f"{text}{end}")
            self._err.flush()

    def show(self, *lines: str) -> None:
        """Print data for people, but not with ``--json``. Further lines within one of ``lines`` are marked as
        quoted."""
        if not self.as_json:
            self._out.write("".join(f"{fit(masked(line))}\n" for line in lines))

    @contextmanager
    def in_place_of_stdout(self) -> Iterator[None]:
        """Let what others print inside go the way of data, for readers that leave."""
        with redirect_stdout(cast("TextIO", self._out)):
            yield

    def show_bytes(self, data: bytes) -> None:
        """Print data for programs, but not with ``--json``. Nothing is escaped or masked."""
        if not self.as_json:
            self._out.write_bytes(data)

    def show_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table for people, but not with ``--json``: a line for each row. On a narrow terminal the last column
        is wrapped."""
        if self.as_json:
            return
        lines = [tuple(map(escaped, row)) for row in (columns, *rows)]
        cell_len: Callable[[str], int] = len
        set_cell_size: Callable[[str, int], str] = str.ljust
        if not all(cell.isascii() for line in lines for cell in line):
            from rich.cells import cell_len, set_cell_size
        widths = [max(map(cell_len, column)) + len(_GAP) for column in list(zip(*lines, strict=True))[:-1]]
        terminal = shutil.get_terminal_size().columns if self._out.isatty() else UNLIMITED_WIDTH
        room = max(terminal - sum(widths), _NARROWEST)
        for *cells, last in lines:
            start = "".join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True))
            for part in wrap(last, room) or [""]:
                self._out.write(masked(f"{start}{part}").rstrip() + "\n")
                start = " " * sum(widths)

    def spinner(self) -> Spinner:
        return Spinner(self._console if self._err.isatty() else None)

    @contextmanager
    def downloads(self) -> Iterator[Callable[[str], OnProgress]]:
        """A function that shows a bar for the download of this name, and returns the function that moves the bar. The
        bar is gone at the end of the block; without a terminal there is none."""
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._err.isatty()) as progress:

            def progress_of(what: str) -> OnProgress:
                for done in progress.task_ids:
                    progress.remove_task(done)
                task = progress.add_task(escaped(what), total=None)
                return lambda received, total: progress.update(task, completed=received, total=total)

            yield progress_of

    @property
    def symbols(self) -> bool:
        """True if stderr can show more than ASCII."""
        return (self._err.encoding or "").lower().replace("-", "") == "utf8"

    def envelope(
        self, command: str, exit_code: int, data: Any, error: HostwrightError | None = None, **more: Any
    ) -> None:
        """Print the envelope for programs, with ``--json`` only."""
        self.write(self.enveloped(command, exit_code, data, error, **more))

    def enveloped(
        self, command: str, exit_code: int, data: Any, error: HostwrightError | None = None, **more: Any
    ) -> str:
        """The envelope as text, masked, to be written later; empty without ``--json``.
        ``more``: keys beside ``data``."""
        if not self.as_json:
            return ""
        document = {
            "format": ENVELOPE_VERSION,
            "hostwright": __version__,
            "command": command,
            "exit": exit_code,
            "data": masked_parts(data),
            "error": masked_parts(error_document(error)) if error is not None else None,
            **masked_parts(more),
        }
        return f"{json_text(document, indent=1)}\n"

    def write(self, enveloped: str) -> None:
        """Print what ``enveloped`` returned."""
        self._out.write(enveloped)

    def flush(self) -> None:
        """Write out all text so far. Raises OSError if stdout has a reader and cannot be written."""
        self._out.flush()
        self._err.flush()

    def problem(self, error: HostwrightError, *, hint: bool = True) -> None:
        """Write the lines of ``error`` to stderr, and its hint in a line of its own, unless ``hint`` is False."""
        first, *more = error.lines
        for line in (f"hostwright: {first}", *more):
            self.say(line)
        if error.hint and hint:
            self.say(f"  → {error.hint}")

    def failure(self, command: str, error: HostwrightError) -> int:
        """Write ``error`` for people and for programs, and return its exit code."""
        self.problem(error)
        self.envelope(command, int(error.exit), None, error)
        return int(error.exit)


def fit(text: str) -> str:
    """``text`` with everything but tabs escaped that could move a cursor. Its further lines begin with a mark that no
    line of hostwright has, so that a stranger's text cannot feign one."""
    lines = ["\t".join(escaped(part) for part in line.split("\t")) for line in text.rstrip("\n").split("\n")]
    return f"\n{_QUOTED}".join(lines)


def json_text(document: Any, *, indent: int, sort_keys: bool = False) -> str:
    """``document`` as JSON, with everything escaped that could control a terminal."""
    lines = json.dumps(document, indent=indent, sort_keys=sort_keys, ensure_ascii=False).split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_json_escaped, line)) for line in lines)


def _json_escaped(character: str) -> str:
    if character.isprintable():
        return character
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]  # json does not escape DEL


def _stream(file: TextIO) -> TextIO:
    """``file``, set to escape characters that its encoding does not have."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")
    return file


def error_document(error: HostwrightError) -> dict[str, Any]:
    """The document of an error for the envelope."""
    return {**error.document(), **error.details()}


def bug(error: Exception, trace: str) -> HostwrightError:
    """The error for a bug, with everything that a report of it needs."""
    return HostwrightError(
        f"this is a bug: {type(error).__name__}: {error}",
        kind=ProblemKind.BUG,
        hint=f"please report it with the following\nhostwright {__version__}, Python {sys.version.split()[0]}\n{trace}",
        consequence=Consequence.STALL,
    )
