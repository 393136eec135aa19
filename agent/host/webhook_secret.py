"""The secret that a forge signs its requests with: a file on the host, that the administrator put there."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from agent.errors import SettingsError
from agent.system.files import read_bounded
from agent.system.misplaced import require_private

SIZE_LIMIT = 4096
SHORTEST = 16
"""Bytes."""


def read_secret(path: Path) -> bytes:
    """Raises SettingsError where it is missing, can be read by others, or is too short to be one."""
    try:
        require_private(path)
        secret = read_bounded(path, SIZE_LIMIT).strip()
    except OSError as error:
        at = quote(f"{path}")
        raise SettingsError(
            f"the webhook's secret {path} cannot be read: {error.strerror or error}",
            hint=f"put it there: openssl rand -hex 32 > {at} && chmod 600 {at}",
        ) from error
    if len(secret) < SHORTEST:
        raise SettingsError(f"the webhook's secret {path} is too short", hint=f"openssl rand -hex 32 > {path}")
    return secret
