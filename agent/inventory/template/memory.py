"""A bound on the memory of a value, whatever takes it: one call, a filter, or a list that a loop makes longer."""

from __future__ import annotations

import os
import resource
from typing import Final

MEMORY_LIMIT: Final = 256 * 1024 * 1024
"""Bytes by which the process may grow while one value renders."""

_PAGE: Final = resource.getpagesize()


class _Memory:
    """The kernel's limit on the data of the process; Python raises MemoryError for what would go beyond. A memory
    within a memory counts towards the outer one."""

    def __init__(self) -> None:
        self._depth = 0
        self._usual = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._usual = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = _data() + MEMORY_LIMIT
            if soft == resource.RLIM_INFINITY or soft > most:
                resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            resource.setrlimit(resource.RLIMIT_DATA, self._usual)


def _data() -> int:
    """Bytes of data and stack of this process: proc_pid_statm(5), field 6."""
    file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(file, 256).split()[5]) * _PAGE
    finally:
        os.close(file)


memory: Final = _Memory()
