"""Accounts and groups as they are to be: the deploy's arguments as types, for the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

SUDO_RULE = "ALL=(ALL:ALL) ALL"
NEVER = "never"
PASSWORD_HASH = re.compile(r"\$[A-Za-z0-9]+\$[A-Za-z0-9./$=,-]+")
"""A hash of crypt(5) of the form ``$id$…``. The older forms are not accepted."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class WantedGroup:
    """A group as it is to be; ``GroupEntry`` says what the fields mean."""

    gid: int | None = None
    system: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class WantedAccount:
    """An account as it is to be; ``AccountEntry`` says what the fields mean. ``expires``: a day in ISO 8601, or
    ``NEVER``."""

    uid: int | None = None
    group: str | None = None
    groups: tuple[str, ...] = ()
    exclusive_groups: bool = False
    shell: str | None = None
    home: str | None = None
    comment: str | None = None
    keys: tuple[str, ...] = ()
    exclusive_keys: bool = False
    sudo: bool | str = False
    password_hash: str | None = field(default=None, repr=False)
    locked: bool | None = None
    expires: str | None = None
    system: bool = False
    absent: bool = False

    @property
    def expiry(self) -> str:
        """The day on which it expires, for the options of shadow's tools; empty for never, or where none is wanted."""
        return self.expires if self.expires is not None and self.expires != NEVER else ""

    @property
    def expires_day(self) -> int | None:
        """The day of ``expiry`` in days since 1970, as in shadow(5); None where that is empty."""
        return (date.fromisoformat(self.expiry) - _EPOCH).days if self.expiry else None


@dataclass(frozen=True, slots=True)
class WantedUsers:
    """All accounts and groups of the deploy, by name."""

    accounts: Mapping[str, WantedAccount] = field(default_factory=dict)
    groups: Mapping[str, WantedGroup] = field(default_factory=dict)


def day_named(number: int | None) -> str:
    """The value of ``WantedAccount.expires`` for a day in shadow(5)."""
    return NEVER if number is None else date.fromordinal(_EPOCH.toordinal() + number).isoformat()
