"""cron: one file for each job, turned into corrections."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from agent.deploys import system_items
from agent.deploys.correction import correct
from agent.deploys.cron.place import is_read
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON
from agent.errors import DeployError


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door. Raises DeployError without a cron daemon, and for a user who does not exist: cron
    passes over such a file without a word."""
    items = items_from_json(arguments["items"])
    if items and not is_read():
        raise DeployError(
            "there is no cron daemon on this host that reads /etc/cron.d",
            hint="add its package (cron, on Fedora cronie) to `packages` before, or use a systemd timer in `services`",
        )
    missing = [user for user in cast("list[str]", arguments["users"]) if not _exists(user)]
    if missing:
        raise DeployError(
            f"user {missing[0]} does not exist, who should run a job",
            hint="create it with an earlier `users` deploy, or correct the name",
        )
    correct("cron", system_items.corrections(items, root))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
