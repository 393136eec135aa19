"""Believed folders. A folder is compared with what it should hold once, and again only if anything in it was touched.

The signature that a folder had when it was compared stands in a file beside it. Only root can write to the two.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.system.files import read_bounded, write_unsynced
from agent.system.misplaced import misplaced_file, misplaced_folder
from agent.system.signature import signature_of

SEEN = ".seen"
"""The end of the name of the file with the signature of a folder."""


def is_believed(folder: Path) -> bool:
    """True if ``folder`` was not touched since it was compared; False if it never was, or nobody can tell."""
    try:
        if misplaced_folder(folder) or misplaced_file(_seen(folder)):
            return False
        return read_bounded(_seen(folder), 100).decode() == signature_of(folder)
    except (OSError, ValueError):
        return False


def is_intact(folder: Path, compare: Callable[[], bool]) -> bool:
    """True if ``folder`` holds what it should: if it is believed, or ``compare``, which reads it, returns True.

    A folder that ``compare`` found right is believed from then on, if it had not changed for two seconds, and its
    signature can be written down."""
    if is_believed(folder):
        return True
    settled = signature_of(folder, settled=True)  # before the folder is read, so that it covers no later change
    if not compare():
        return False
    if settled is not None:
        with suppress(OSError):  # without room for the signature, the folder is compared again next time
            write_unsynced(_seen(folder), settled.encode())
    return True


def _seen(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{SEEN}")
