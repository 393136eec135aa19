"""What several commands ask of whoever calls them."""

from __future__ import annotations

import os

from agent.domain.duration import seconds
from agent.errors import UsageError

APPLY_WAIT_S = 600.0
"""How long a command waits for a running cycle; longer than most, shorter than a person's patience."""


def until(duration: str | None, now: int) -> int | None:
    """The end of ``duration`` (``4h``) from ``now`` on, None without one. Raises UsageError."""
    try:
        return None if duration is None else now + seconds(duration)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error


def require_root() -> None:
    """Raises UsageError for everybody else."""
    if os.geteuid() != 0:
        raise UsageError("this command needs root", hint="run it with sudo")
