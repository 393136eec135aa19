"""The kind ``cron``: a job for the system's cron daemon, which is a file of its own in /etc/cron.d."""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.correction import Correction, refusal
from agent.deploys.files.file import File
from agent.deploys.items import items_from_json
from agent.deploys.tree import item_corrections
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.question import Question
from agent.errors import DeployError

FOLDER = Path("/etc/cron.d")

_READERS = (
    "/usr/sbin/cron",
    "/usr/sbin/crond",
    "/usr/lib/systemd/system-generators/systemd-crontab-generator",
    "/lib/systemd/system-generators/systemd-crontab-generator",
)
"""Vixie's cron and cronie, and systemd-cron. Busybox's crond does not read /etc/cron.d, and has no such folder."""


def path_of(name: str) -> str:
    return f"{FOLDER}/hostwright-{name}"


class CronEntry(File):
    """The kind ``cron``. It looks at a job's file, and removes and restores it, as ``File`` does."""

    def path(self, name: str) -> str:
        return path_of(name)

    def corrections(self, arguments: Mapping[str, JSON], root: Path) -> list[Correction]:
        """The correction of each entry that differs. The job of a user who does not exist is refused: cron passes over
        such a file without a word. Raises DeployError if jobs are wanted and there is no cron daemon that reads
        FOLDER."""
        wanted, users = items_from_json(arguments["items"]), _users(arguments)
        if wanted and not (FOLDER.is_dir() and any(Path(reader).exists() for reader in _READERS)):
            raise DeployError(
                "there is no cron daemon on this host that reads /etc/cron.d",
                hint="add its package (cron, on Fedora cronie) to `packages` before, or use a systemd timer in"
                " `services`",
            )
        missing = {key: user for key, user in users.items() if not _exists(user)}
        made = item_corrections([item for item in wanted if item.key not in missing], root)
        return [*made, *(refusal(key, _missing_user(user)) for key, user in missing.items())]

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        for place in (FOLDER, *_READERS):
            yield from about.through(place)
        yield from about.of_accounts(_users(arguments).values())
        yield from about.of_items(items_from_json(arguments["items"]))


def _users(arguments: Mapping[str, JSON]) -> Mapping[str, str]:
    """The name of the user who runs each job, by key."""
    return from_plain(arguments["users"], dict[str, str])


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _missing_user(user: str) -> DeployError:
    """The error for a job whose user does not exist."""
    return DeployError(
        f"user {user} does not exist, who should run it",
        hint="create it with an earlier `users` deploy, or correct the name",
    )


corrections, questions = CronEntry().corrections, CronEntry().questions
