"""No core dump of this process: its memory holds what nobody is to read from a file."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """From now on no core is written of this process, nor piped to a program that would keep it. What it starts gets
    the limit, too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
