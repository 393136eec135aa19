"""Folders that are believed: compared with what they should hold once, and again when anything in them was touched.

The signature of a folder that was compared stands in a file beside it. Both are root's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.system.files import read_bounded, write_unsynced
from agent.system.misplaced import misplaced_file, misplaced_folder
from agent.system.signature import signature_of

SEEN = ".seen"
"""Ends the name of the file with the signature of a folder."""


def is_believed(folder: Path) -> bool:
    """True if ``folder`` is as it was when it was last compared."""
    try:
        if misplaced_folder(folder) or misplaced_file(_seen(folder)):
            return False
        return read_bounded(_seen(folder), 100).decode() == signature_of(folder)
    except (OSError, ValueError):
        return False


def holds(folder: Path, compare: Callable[[], bool]) -> bool:
    """True if ``folder`` is believed, or ``compare``, which reads it, says that it holds what it should. Then it is
    believed from now on, if it has stood unchanged for two seconds and that can be written down."""
    if is_believed(folder):
        return True
    settled = signature_of(folder, settled=True)  # before it is read: what changes meanwhile changes it
    if not compare():
        return False
    if settled is not None:
        with suppress(OSError):  # no room: it is compared again
            write_unsynced(_seen(folder), settled.encode())
    return True


def _seen(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{SEEN}")
