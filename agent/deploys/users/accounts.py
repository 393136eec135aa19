"""The accounts and groups in the host's files: passwd(5), group(5) and shadow(5) in /etc."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.digest import JSON
from agent.system.files import read_bounded

FIRST_ORDINARY_ID = 1000
"""The first number that is not of a system account or group (login.defs(5): UID_MIN, GID_MIN of every distribution in
use)."""
NOBODY_ID = 65534


@dataclass(frozen=True, slots=True)
class Person:
    """One account: its line in passwd, with the password and the expiry that shadow has of it."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    password: str = field(default="", repr=False)
    """The hash; a ``!`` in front locks it. Empty where shadow has no line."""
    expires_day: int | None = None
    """The first day on which nobody logs in, in days since 1970; None: never."""

    @property
    def is_system(self) -> bool:
        return is_system_id(self.uid)

    @property
    def locked(self) -> bool:
        """True where nobody logs in by password or key: the password is locked and the account has expired."""
        return self.password.startswith(("!", "*")) and self.expires_day is not None and self.expires_day <= 1


@dataclass(frozen=True, slots=True)
class GroupLine:
    name: str
    gid: int
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccountFiles:
    people: Mapping[str, Person]
    groups: Mapping[str, GroupLine]

    def groups_of(self, name: str) -> frozenset[str]:
        """The groups that list ``name`` as a member. Its primary group does not."""
        return frozenset(group.name for group in self.groups.values() if name in group.members)

    def group_name(self, gid: int) -> str:
        return next((group.name for group in self.groups.values() if group.gid == gid), str(gid))


def known_elsewhere(name: str) -> bool:
    """True where the host knows an account of that name. One that is not in the files is a directory service's
    (nsswitch.conf)."""
    try:
        return pwd.getpwnam(name) is not None
    except KeyError:
        return False


def names_in(value: JSON) -> list[str]:
    """The names in a list that the ledger kept; empty for any other value."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, (list, tuple)) else []


def is_system_id(number: int) -> bool:
    return number < FIRST_ORDINARY_ID or number == NOBODY_ID


def read(etc: Path = Path("/etc")) -> AccountFiles:
    """Read the host's accounts and groups. Raises OSError."""
    return parsed(
        *(read_bounded(etc / name).decode(errors="surrogateescape") for name in ("passwd", "group", "shadow"))
    )


def parsed(passwd: str, group: str, shadow: str) -> AccountFiles:
    """The accounts and groups in the texts of the three files. Lines of another form, such as those of NIS, are left
    out."""
    secrets = {fields[0]: fields for fields in _rows(shadow, 9)}
    people = {}
    for name, _, uid, gid, comment, home, shell in _rows(passwd, 7):
        _, password, *_, expires, _ = secrets.get(name, [name, *[""] * 8])
        if uid.isdigit() and gid.isdigit():
            expires_day = int(expires) if expires.isdigit() else None
            people[name] = Person(name, int(uid), int(gid), comment, home, shell, password, expires_day)
    groups = {
        name: GroupLine(name, int(gid), frozenset(filter(None, members.split(","))))
        for name, _, gid, members in _rows(group, 4)
        if gid.isdigit()
    }
    return AccountFiles(people, groups)


def _rows(text: str, width: int) -> list[list[str]]:
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) == width and row[0]]
