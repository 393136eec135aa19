"""Answers of programs: ``command -v``, ``uname`` and ``date``."""

from __future__ import annotations

import functools
import os
import re
import stat
import time
from pathlib import Path

from agent.engine.facts.shape import Lines

PROGRAM = r"[a-zA-Z][\w.+-]*"

_SHELLS = ("dash", "bash")
"""Shells whose ``command -v`` looks along PATH for every name that is none of ``_OWN_WORDS``."""

_OWN_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc declare dirs
        disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts hash help
        history if in jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return select set
        shift shopt source suspend test then time times trap true type typeset ulimit umask unalias unset until wait
        while
        """,
    )
)
_FOLDER = re.compile(r"/[\w./+-]*", re.ASCII)
_UNAME = {"s": "sysname", "n": "nodename", "r": "release", "m": "machine"}


def which(name: str) -> Lines | None:
    """The path of a program, as a shell finds it; no line where there is none. None where a shell could find
    another."""
    if is_nowhere(name):
        return []
    if name in _OWN_WORDS or not _plain_shell():
        return None
    for folder in _folders():
        path = f"{folder}/{name}"
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116  # as a shell puts it together
        except OSError:
            continue
        certain = stat.S_ISREG(mode) and not ~mode & 0o111
        return [path] if certain else None
    return []


def is_nowhere(name: str) -> bool:
    """True where it is certain that no file on PATH and no word of the shell is called ``name``."""
    folders = _folders()
    return (
        bool(folders)
        and name not in _OWN_WORDS
        and _plain_shell()
        and not any(os.path.lexists(f"{folder}/{name}") for folder in folders)
    )


def uname(letter: str) -> Lines | None:
    told = getattr(os.uname(), _UNAME[letter])
    return [told] if told.isascii() and told.isprintable() else None


def now() -> Lines:
    time.tzset()
    return [time.strftime("%Y-%m-%dT%H:%M:%S%z")]


def _folders() -> list[str]:
    """The folders of PATH; none where one of them is not a plain absolute path."""
    folders = os.environ.get("PATH", "").split(":")
    return folders if all(_FOLDER.fullmatch(folder) for folder in folders) else []


@functools.cache
def _plain_shell() -> bool:
    """True if /bin/sh is known to find programs as ``which`` does."""
    return Path("/bin/sh").resolve().name in _SHELLS
