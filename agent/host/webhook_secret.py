"""The secret that a forge signs its requests with. The administrator puts it into a file on the host."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from agent.errors import SettingsError
from agent.system.files import read_bounded
from agent.system.misplaced import require_private

SIZE_LIMIT = 4096
SHORTEST = 16
"""Bytes of the shortest secret that is taken."""


def read_secret(path: Path) -> bytes:
    """The secret in the file at ``path``. Raises SettingsError if it is missing, too short, or others can read it."""
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
