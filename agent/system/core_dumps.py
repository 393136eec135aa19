"""No core dump of this process: its memory holds secrets."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Have no core of this process written from now on, nor piped to a program that would keep it. Programs that it
    starts inherit the limit for files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
