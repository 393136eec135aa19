"""A value in the person's editor: in a private file, which lies in memory where the machine has a file system there."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import UsageError
from agent.system.files import write_atomic

_USUAL = ("sensible-editor", "editor", "vi")
_IN_MEMORY = "/dev/shm"  # noqa: S108  # a private folder is made in it


def place_in_memory(environment: Mapping[str, str]) -> Path | None:
    """The path of a file system in memory to which this person may write; None where the machine has none."""
    places = (environment.get("XDG_RUNTIME_DIR", ""), _IN_MEMORY)
    return next((Path(each) for each in places if each and os.access(each, os.W_OK | os.X_OK)), None)


def edited(value: bytes, name: str, environment: Mapping[str, str], place: Path | None) -> bytes:
    """Have a person edit ``value`` in $VISUAL or $EDITOR, and return the result. It lies in a private file below
    ``place``; None: in the folder for temporary files. Raises UsageError where the editor fails or leaves no file."""
    command = _editor(environment)
    with _private_folder(place) as folder:
        path = folder / name.rpartition("/")[2]
        write_atomic(path, value)
        try:
            code = subprocess.run([*command, f"{path}"], check=False).returncode
        except OSError as error:
            raise UsageError(f"{command[0]}: {error.strerror}", hint="set EDITOR to a program that is there") from None
        if code != 0:
            raise UsageError(f"{command[0]} ended with exit code {code}", hint="nothing was changed")
        try:
            return path.read_bytes()
        except OSError as error:
            raise UsageError(f"the editor left no file: {error}", hint="nothing was changed") from None


def _editor(environment: Mapping[str, str]) -> list[str]:
    said = environment.get("VISUAL") or environment.get("EDITOR") or next(filter(shutil.which, _USUAL), "")
    try:
        command = shlex.split(said)
    except ValueError:
        command = []
    if not command:
        raise UsageError("no editor is known", hint="set EDITOR to one, such as EDITOR=nano")
    return command


@contextmanager
def _private_folder(place: Path | None) -> Iterator[Path]:
    """Make a folder for this person alone. At the end, all files in it are wiped and removed, also those that the
    editor wrote beside the value's."""
    folder = Path(tempfile.mkdtemp(prefix="hostwright-secret-", dir=place))
    try:
        yield folder
    finally:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with suppress(OSError):  # a file that cannot be written is removed all the same
                    _wipe(path)
        shutil.rmtree(folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _wipe(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
