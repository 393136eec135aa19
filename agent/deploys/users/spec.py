"""users: what an inventory may ask for of accounts and groups.

    - users:
        ann: {uid: 1201, groups: [docker], shell: /bin/bash, keys: ["ssh-ed25519 AAAA… ann@laptop"], sudo: true}
        bob: {absent: true}
        groups: {dev: {gid: 1200}}

Every name on the first level is an account, except ``accounts`` and ``groups``, which hold what they say.
A property that an entry does not mention is left as it is. Keys, groups and sudo that the agent once gave and the
entry mentions no more are taken away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from agent.deploys.spec import NAMES, ByName, Concrete, NamedEntry, Sources, bare_name
from agent.deploys.users.wanted import PASSWORD_HASH, SUDO_RULE
from agent.deploys.written import Number, checked
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Mistake
from agent.domain.sealed import is_sealed
from agent.system.public_keys import complaint

ID_LIMIT = 2**32 - 2
"""The highest uid and gid; the one above means "none" to the kernel."""

SUDO_PACKAGE = "package:sudo"
"""The package of sudo, which every distribution calls so."""


ExpiryDay = Annotated[
    date, WithJsonSchema({"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
]
"""A day, written like ``2027-03-31``."""


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", name):
        raise Mistake(f"{name!r} cannot be a name", "small letters, digits, _ and -, at most 32")
    return name


UnixName = Annotated[str, AfterValidator(_name)]
"""The name of an account or a group (useradd(8), "CAVEATS"). It has no dots: sudo ignores drop-ins with one."""

FieldPath = Annotated[
    str, checked(re.compile(r"/[^:\n\0]*").fullmatch, "an absolute path", "begin it with / and leave out colons")
]
"""A path that can stand in a field of /etc/passwd."""

FieldText = Annotated[
    str, checked(re.compile(r"[^:\n\0]*").fullmatch, "a comment of one line without a colon", "leave the colon out")
]


def _key(line: str) -> str:
    key = line.strip()
    if why := complaint(key):
        raise Mistake(f"{key[:60]!r} is not a public key: {why}", "write the one line of a .pub file")
    return key


PublicKey = Annotated[str, AfterValidator(_key)]


class GroupEntry(NamedEntry):
    """One group."""

    gid: Number | None = Field(default=None, ge=0, le=ID_LIMIT)
    """Its number; not set: the next free one."""
    system: bool = False
    """Created with a number from the range of system groups."""
    absent: bool = False
    """It must not exist. System groups are never deleted."""


class AccountEntry(NamedEntry):
    """One account."""

    uid: Number | None = Field(default=None, ge=0, le=ID_LIMIT)
    """Its number; not set: the next free one."""
    group: UnixName | None = None
    """Its primary group; not set: a group of its own name."""
    groups: tuple[UnixName, ...] = ()
    """Further groups. It is added to them, and removed again from one that goes from this list, if the agent added it
    there. Memberships that a person gave it stay."""
    exclusive_groups: bool = False
    """It is removed from groups that `groups` does not name."""
    shell: FieldPath | None = None
    """Its login shell, which must be on the host."""
    home: FieldPath | None = None
    """Its home. Made when the account is created; moved along when this changes and nothing is there."""
    comment: FieldText | None = None
    """Usually the person's name."""
    keys: tuple[PublicKey, ...] = ()
    """Lines of ~/.ssh/authorized_keys, with or without options, in a block of their own: a key that goes from this list
    goes from the host. Lines that a person put there stay, but those that have one of these keys with other options."""
    exclusive_keys: bool = False
    """authorized_keys holds `keys` and nothing else; without `keys`, nothing at all."""
    sudo: bool | str = Field(
        default=False,
        description=f"true allows everything with a password (`{SUDO_RULE}`); or a rule in sudoers' words, like"
        " `ALL=(ALL) NOPASSWD: ALL`. Written to /etc/sudoers.d/hostwright-<name>, which goes when this goes.",
    )
    password_hash: str | None = Field(default=None, repr=False)
    """As crypt(5) writes it (`mkpasswd`); better a secret: `{{ secret('all/ann') }}`. Not set: new accounts have none,
    and nobody logs in with a password."""
    locked: bool | None = None
    """true: nobody logs in, neither with a password nor with a key; false lifts it."""
    expires: ExpiryDay | Literal["never"] | None = None
    """From this day on (`2027-03-31`, UTC) nobody logs in with it; `never` lifts it."""
    system: bool = False
    """Created as a system account: a low number, no home made."""
    absent: bool = False
    """It must not exist. Its home is kept. System accounts are never deleted."""

    @field_validator("sudo")
    @classmethod
    def _sudo(cls, sudo: bool | str) -> bool | str:
        if isinstance(sudo, str) and ("=" not in sudo or not sudo.isprintable()):
            raise Mistake(f"{sudo!r} is not a rule of sudoers", f"write true, or one line like {SUDO_RULE}")
        return sudo

    @field_validator("password_hash")
    @classmethod
    def _hash(cls, value: str | None) -> str | None:
        if value is not None and not is_sealed(value) and not PASSWORD_HASH.fullmatch(value):
            raise Mistake("not a hash as crypt(5) writes it ($y$…, $6$…)", "mkpasswd makes one")
        return value


_KINDS = {"group": "groups", "user": "accounts"}
"""The level that holds the resources of each kind."""


class UsersSpec(ByName):
    kind: ClassVar[str] = "users"
    owned: ClassVar[Mapping[str, str]] = _KINDS
    short = NAMES
    level: ClassVar[str] = "accounts"

    accounts: dict[UnixName, Annotated[AccountEntry, bare_name(AccountEntry, {})]] = Field(default_factory=dict)
    """By name. This level can be left out; a list of names means: they exist."""
    groups: dict[UnixName, Annotated[GroupEntry, bare_name(GroupEntry, {})]] = Field(default_factory=dict)
    """By name."""

    @classmethod
    def from_short(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return super().from_short(value)
        named = {name: entry for name, entry in value.items() if name not in cls.model_fields}
        spec = {name: entry for name, entry in value.items() if name in cls.model_fields}
        return {**spec, "accounts": {**(spec.get("accounts") or {}), **named}} if named else spec

    @field_validator("accounts", "groups")
    @classmethod
    def _numbered_once(cls, entries: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        number = "uid" if info.field_name == "accounts" else "gid"
        owners: dict[int, str] = {}
        for name, entry in entries.items():
            wanted = getattr(entry, number)
            if wanted is None or entry.absent:
                continue
            if (other := owners.setdefault(wanted, name)) != name:
                raise Mistake(f"{other} and {name} are both to have {number} {wanted}", "give each a number of its own")
        return entries

    @classmethod
    def exposed(cls, arguments: Mapping[str, JSON]) -> JSON:
        entries: Any = arguments  # hashes of passwords go to /etc/shadow alone
        accounts = {name: {**account, "password_hash": None} for name, account in entries["accounts"].items()}
        return {**arguments, "accounts": accounts}

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing to look up
        arguments: dict[str, JSON] = {}
        resources: list[Resource] = []
        for kind, level in _KINDS.items():
            wanted = {name: _arguments(entry) for name, entry in getattr(self, level).items()}
            arguments[level] = wanted
            resources += [
                Resource(f"{kind}:{name}", digest_of(said), absent=said["absent"]) for name, said in wanted.items()
            ]
        mighty = [name for name, account in self.accounts.items() if account.sudo is not False and not account.absent]
        relies_on = {SUDO_PACKAGE: f"{mighty[0]} is to have sudo"} if mighty else {}
        said = {f"user:{name}": _properties(account) for name, account in self.accounts.items()}
        said |= {f"group:{name}": _properties(group) for name, group in self.groups.items()}
        return Concrete(arguments, tuple(resources), relies_on=relies_on, properties=said)


_TAKEN_AWAY = {"keys": ("keys", "exclusive_keys"), "groups": ("groups", "exclusive_groups"), "sudo": ("sudo",)}
"""What an account loses by an entry that does not mention it."""


def _properties(entry: AccountEntry | GroupEntry) -> dict[str, str]:
    """The properties of an account or a group in an entry, for ``Concrete.properties``."""
    said: dict[str, JSON] = entry.model_dump(mode="json")
    presence = {"absent": digest_of(said["absent"])}
    if said["absent"] or isinstance(entry, GroupEntry):
        return presence | {name: digest_of(said[name]) for name in ("gid",) if said.get(name) is not None}
    whole = {words: digest_of([_unordered(said[name]) for name in names]) for words, names in _TAKEN_AWAY.items()}
    single = ("uid", "group", "shell", "home", "comment", "password_hash", "locked", "expires")
    return presence | whole | {name: digest_of(said[name]) for name in single if said[name] is not None}


def _unordered(value: JSON) -> JSON:
    return sorted(map(str, value)) if isinstance(value, list) else value


def _arguments(entry: NamedEntry) -> dict[str, Any]:
    """``entry`` as arguments; without a password where the account goes: a secret that cannot be read must not keep it
    from going."""
    said = entry.model_dump(mode="json")
    return said | {"password_hash": None} if said["absent"] and said.get("password_hash") else said
