"""cron: one file for each job, turned into corrections."""

from __future__ import annotations

import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from agent.deploys import system_items
from agent.deploys.correction import Correction, refusal
from agent.deploys.cron.place import is_read
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON
from agent.errors import DeployError


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError without a cron daemon. A job of a user who does not exist is refused: cron passes over such a
    file without a word.
    """
    items = items_from_json(arguments["items"])
    if items and not is_read():
        raise DeployError(
            "there is no cron daemon on this host that reads /etc/cron.d",
            hint="add its package (cron, on Fedora cronie) to `packages` before, or use a systemd timer in `services`",
        )
    users = cast("Mapping[str, str]", arguments["users"])
    missing = {key: user for key, user in users.items() if not _exists(user)}
    made = system_items.corrections([item for item in items if item.key not in missing], root)
    return [*made, *(refusal(key, _nobody(user)) for key, user in missing.items())]


def _nobody(user: str) -> DeployError:
    return DeployError(
        f"user {user} does not exist, who should run it",
        hint="create it with an earlier `users` deploy, or correct the name",
    )


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
