"""The accounts and groups in the host's files, passwd(5), group(5) and shadow(5) in /etc; and the programs that change
them: useradd(8), usermod(8), groupadd(8), gpasswd(1), …"""

from __future__ import annotations

import errno
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.deploys.telling import reason
from agent.domain.digest import JSON
from agent.errors import DeployError
from agent.system.files import explained, read_bounded
from agent.system.process import run

FIRST_ORDINARY_ID = 1000
"""The first number that is not of a system account or group (login.defs(5): UID_MIN, GID_MIN of every distribution in
use)."""
NOBODY_ID = 65534

_TIMEOUT_S = 300.0
"""For one program. usermod walks a whole home when a uid changes or a home moves."""


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


@dataclass(frozen=True, slots=True)
class ShadowCommand:
    """One program to run. ``input`` goes to its stdin: what nobody may see in ps."""

    argv: tuple[str, ...]
    input: bytes | None = field(default=None, repr=False)

    def run(self) -> None:
        """Run the program. Raises DeployError with the reason that it gave, or where it is not on this host."""
        try:
            done = run(self.argv, timeout_s=_TIMEOUT_S, input=self.input)
        except FileNotFoundError:
            raise DeployError(
                f"{self.argv[0]} is not on this host", hint="install the package shadow or passwd"
            ) from None
        if not done.ok:
            said = f"not done after {_TIMEOUT_S:.0f} s" if done.timed_out else reason(done)
            raise DeployError(f"{self.argv[0]}: {said.removeprefix(f'{self.argv[0]}: ')}{_why_closed(said)}")


def _why_closed(said: str) -> str:
    """The reason why a file that a program could not open is closed to root, with the way out; empty if nobody
    knows."""
    closed = re.search(r"cannot (?:open|lock|update) (/etc/\w+)", said)
    found = explained(PermissionError(errno.EPERM, ""), Path(closed[1])).strerror if closed else ""
    return f": {found}" if found else ""


def lock(name: str) -> ShadowCommand:
    """The command that keeps everybody out of an account. A locked password alone keeps no key out, so the account
    expires as well (usermod(8), --lock)."""
    return ShadowCommand(("usermod", "--lock", "--expiredate=1", "--", name))


def leave_group(name: str, group: str) -> ShadowCommand:
    return ShadowCommand(("gpasswd", f"--delete={name}", "--", group))


def set_password(name: str, value: str) -> ShadowCommand:
    """The command that sets an account's password. ``value``: a hash of crypt(5), with a ``!`` in front where it is to
    be locked."""
    return ShadowCommand(("chpasswd", "--encrypted"), f"{name}:{value}\n".encode(errors="surrogateescape"))
