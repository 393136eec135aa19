"""webhook_service: turns what fleet.yaml says of a webhook into a service that listens, or into what is in its way."""

from __future__ import annotations

from pathlib import Path

from agent.domain.memory import Webhook
from agent.errors import SettingsError, SourceError
from agent.host.webhook_secret import read_secret
from agent.problems import ProblemKind
from agent.system.systemd import WEBHOOK_UNIT, start, state_of

TIMEOUT_S = 20.0


def ensure_webhook_service(webhook: Webhook | None) -> None:
    """Start the webhook's service if it does not run. One that runs is left alone: it looks itself whether it is wanted
    elsewhere, or no more. Raises SourceError if it cannot run; the host goes on asking by the clock."""
    if webhook is None:
        return
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
