"""Values that several commands take from the command line, and their common conditions."""

from __future__ import annotations

import os

from click.decorators import pass_meta_key

from agent.domain.duration import seconds
from agent.errors import UsageError

OUTPUT = "agent.output"
CONFIG_REPO = "agent.config_repo"

pass_output = pass_meta_key(OUTPUT, doc_description="the Output that the common options ask for")
pass_config_repo = pass_meta_key(CONFIG_REPO, doc_description="the ConfigRepo that the common options name")

APPLY_WAIT_S = 600.0
"""How long a command waits for a running cycle; longer than most, shorter than a person's patience."""


def until(duration: str | None, now: int) -> int | None:
    """The end of ``duration`` (``4h``) from ``now`` on, None without one. Raises UsageError."""
    try:
        return None if duration is None else now + seconds(duration)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error


def require_root() -> None:
    """Raise UsageError unless root calls."""
    if os.geteuid() != 0:
        raise UsageError("this command needs root", hint="run it with sudo")
