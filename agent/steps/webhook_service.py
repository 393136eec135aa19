"""webhook_service: turns what fleet.yaml says of a webhook into a service that listens, or into what is in its way.

Without the secret that the forge signs its requests with, it does not listen. The administrator puts that into a file
on the host.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from agent.domain.memory import Webhook
from agent.errors import SettingsError, SourceError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.misplaced import require_private

TIMEOUT_S = 20.0
SIZE_LIMIT = 4096
SHORTEST = 16
"""Bytes of the shortest secret that is taken."""


def ensure_webhook_service(webhook: Webhook | None) -> None:
    """Start the webhook's service if it does not run. One that runs is left alone: it looks itself whether it is wanted
    elsewhere, or no more. Raises SourceError if it cannot run; the host goes on asking by the clock."""
    if webhook is None:
        return
    # Late: the service itself reads the secret by this module, runs for months and has to stay small.
    from agent.system.systemd import WEBHOOK_UNIT, start, state_of

    try:
        read_secret(Path(webhook.secret_file))
    except SettingsError as error:
        raise SourceError(error.message, kind=ProblemKind.WEBHOOK_DOWN, hint=error.hint) from error
    found = state_of(WEBHOOK_UNIT, timeout_s=TIMEOUT_S)
    if found is None or found.load != "loaded":
        why = "there is no systemd that would keep the webhook" if found is None else f"{WEBHOOK_UNIT}: {found.load}"
        raise SourceError(why, kind=ProblemKind.WEBHOOK_DOWN, hint="run bootstrap.sh again, without --once")
    if found.active in ("inactive", "failed"):
        start(WEBHOOK_UNIT)
    if found.sub == "auto-restart" or found.active == "failed":
        hint = f"is {webhook.listen} this host's, and free? journalctl -u {WEBHOOK_UNIT}"
        raise SourceError(f"{WEBHOOK_UNIT} does not run", kind=ProblemKind.WEBHOOK_DOWN, hint=hint)


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
