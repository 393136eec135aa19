"""The owner that an item names, looked up among the host's users and groups."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from agent.deploys.at_path import Attributes
from agent.errors import DeployError
from agent.problems import ProblemKind


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner that an item should have. ``uid`` or ``gid`` is None where the user or the group does not exist yet."""

    user: str
    group: str | None
    uid: int | None
    gid: int | None
    words: str

    @property
    def exists(self) -> bool:
        return self.uid is not None and self.gid is not None

    def __str__(self) -> str:
        return self.words

    def attributes(self, path: str, mode: int, giving: Mapping[str, bytes] | None = None) -> Attributes:
        """The attributes of a thing at ``path`` that this owner should have. Raises DeployError if the owner does not
        exist."""
        if self.uid is None or self.gid is None:
            missing = f"user {self.user}" if self.uid is None else f"group {self.group}"
            why = f"{missing} does not exist, who should own {path}"
            hint = "name an earlier deploy that creates it in `needs`, or correct the name"
            raise DeployError(why, hint=hint, kind=ProblemKind.NO_SUCH_OWNER)
        return Attributes(mode, self.uid, self.gid, giving or {})


Owners = Callable[[str, str | None], Owner]
"""``owner_of``, as it is or with a cache."""


def owner_of(user: str, group: str | None) -> Owner:
    """The owner by these names or numbers. If ``group`` is None, the user's own group; for a number without an account,
    the group of the same number."""
    number = int(user) if user.isdecimal() else None
    uid, gid = number, number
    with suppress(KeyError):
        account = pwd.getpwnam(user)
        uid, gid = account.pw_uid, account.pw_gid
    gid = gid if group is None else _gid(group)
    return Owner(user, group, uid, gid, _words(user, group, uid, gid))


def _words(user: str, group: str | None, uid: int | None, gid: int | None) -> str:
    if uid is None:
        return f"{user}, who does not exist yet"
    if gid is None:
        return f"{user}:{group}, a group that does not exist yet"
    return names(uid, gid)


def names(uid: int, gid: int) -> str:
    """The names as ``ann:users``; the number of one who has no name."""
    user, group = f"{uid}", f"{gid}"
    with suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name
    with suppress(KeyError):
        group = grp.getgrgid(gid).gr_name
    return f"{user}:{group}"


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return int(group) if group.isdecimal() else None
