"""The files of secrets of one inventory, as an administrator reads and writes them; and the private keys of a person,
age identities and SSH keys, read from files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from agent.domain.pins import SecretPin
from agent.domain.tree import Tree
from agent.errors import HostwrightError, InventoryError, UsageError
from agent.host.identity import admitted
from agent.inventory.ansible.inventory import read_groups
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.lock import LOCK_FILE, Lock, lock_text, read_lock
from agent.inventory.recipients import ADMINS_FILE, Recipients, differences, gone, is_known, read_recipients
from agent.inventory.secrets import NAME, SECRETS, SUFFIX, SecretFiles, copied, damage
from agent.inventory.source import open_source
from agent.system import age
from agent.system.files import read_bounded, write_atomic

VALUE_LIMIT = 1024 * 1024
"""Bytes of one value."""

DEFAULT_FILES = (
    ".config/hostwright/identity.txt",
    ".config/age/keys.txt",
    ".config/sops/age/keys.txt",
    ".ssh/id_ed25519",
    ".ssh/id_rsa",
)
"""The usual files, below the home; those that are there are tried in this order."""

KEY_LIMIT = 64 * 1024

_AskPassphrase = Callable[[str], str]
"""A function that shows a prompt and returns the passphrase that a person types, without echo."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One secret file: the names of its readers, and what is wrong with it, a line each."""

    name: str
    readers: tuple[str, ...]
    wrong: tuple[str, ...]


class SecretStore:
    """The secret files of one inventory, with their readers and pins. ``root``: the config repo's folder; ``tree``: the
    files in it."""

    def __init__(self, root: Path, tree: Tree, inventory: str) -> None:
        """Read hosts, identities, admins and lock.yaml. Raises InventoryError with every complaint about them."""
        source, complaints = open_source(tree, inventory), Complaints()
        groups = read_groups(source, complaints)  # without variables: `secret import` runs while they still hold vaults
        hosts = tuple(groups.hosts)
        self.folder = root / source.folder
        self.files = SecretFiles(source, {name: groups.members(name) for name in groups.groups}, hosts)
        identities = admitted(tree, inventory)[0]
        self.recipients: Recipients = read_recipients(source, hosts, identities, complaints)
        self.lock: Lock = read_lock(source, complaints)
        complaints.raise_if_any()

    def read(self, name: str, keys: OwnKeys) -> bytes:
        """The value of the secret ``name``. Raises UsageError where there is none of that name, and what
        ``OwnKeys.decrypt`` raises."""
        if name not in self.files.names:
            near = nearest(name, self.files.names, otherwise="`hostwright secret list` names them all")
            raise UsageError(f"there is no secret {name}", hint=near)
        return keys.decrypt(self.files.content(name), self._shown(name))

    def write(self, name: str, value: bytes) -> tuple[str, ...]:
        """Write ``value`` as the secret ``name``, encrypted for everybody who is to read it. Returns their names.

        Raises UsageError for a wrong name, a folder that is no group or host, or too large a value; InventoryError
        where ``admins`` names nobody; OSError.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a secret", hint="write <group or host>/<name>")
        if len(value) > VALUE_LIMIT:
            raise UsageError(f"the value has {len(value)} bytes", hint=f"{VALUE_LIMIT} at most")
        pin = self._put(name, value)
        self._keep({**self.lock.secrets, name: pin})
        return tuple(pin.recipients.values())

    def rekey(
        self, names: Sequence[str], keys: OwnKeys, *, everything: bool = False
    ) -> tuple[dict[str, str], dict[str, HostwrightError]]:
        """Encrypt secrets anew whose readers have changed; with ``everything`` all. ``names``: these only; empty: all
        that lock.yaml knows. A file that lock.yaml does not know could be another folder's secret, so a person has to
        name it. Returns what was done and the failures, by name. Raises OSError."""
        told: dict[str, str] = {}
        failures: dict[str, HostwrightError] = {}
        before = self.lock.secrets
        pins = {name: pin for name, pin in before.items() if name in self.files.names}
        for name in names or self.files.names:
            try:
                if (names and name not in self.files.names) or everything or self._is_behind(name):
                    self._require_admins(name)
                    known = is_known(self.files, name, before.get(name))
                    if name in self.files.names:
                        self._require_ours(name, named=known or bool(names))
                    value = self.read(name, keys)
                    pins[name] = self._after(self._put(name, value), before.get(name))
                    told[name] = f"made for {', '.join(pins[name].recipients.values())}"
                    if not known:
                        told[name] += "; lock.yaml did not know the file: make sure that its value is for them"
                    self._keep(pins)
            except (InventoryError, UsageError) as error:
                failures[name] = error
        told |= dict.fromkeys(gone(self.files, before), "forgotten, its file is gone")
        if pins != self.lock.secrets:
            self._keep(pins)
        return told, failures

    def read_by(self, hosts: Sequence[str]) -> list[str]:
        """The names of the secrets that any of ``hosts`` may read. Files that lock.yaml does not know are left out."""
        return [
            name
            for name in self.files.names
            if set(hosts).intersection(self.files.readers(name.partition("/")[0]) or ())
            and is_known(self.files, name, self.lock.secrets.get(name))
        ]

    def listed(self) -> list[Listed]:
        return [self._listed(name) for name in self.files.names]

    def _listed(self, name: str) -> Listed:
        readers = self.files.readers(name.partition("/")[0])
        if readers is None:
            return Listed(name, (), ("its folder is no group or host",))
        if damaged := damage(self.files.content(name)):
            return Listed(name, (), ("; ".join(damaged),))
        wrong = tuple(map(str, differences(self.files, name, self.recipients, self.lock.secrets.get(name))))
        return Listed(name, tuple(self.recipients.of(readers).values()), wrong)

    def _is_behind(self, name: str) -> bool:
        """True if lock.yaml does not know the file, or has other recipients for it than are to read it. False where its
        folder is no group or host."""
        pin, readers = self.lock.secrets.get(name), self.files.readers(name.partition("/")[0])
        if readers is None:
            return False
        return pin is None or not is_known(self.files, name, pin) or pin.recipients != self.recipients.of(readers)

    def _require_ours(self, name: str, *, named: bool) -> None:
        """Raise InventoryError if the file may be a secret of others: if it is a copy, or is not ``named`` (by a person
        or by lock.yaml)."""
        if copies := self.files.copies(name):
            problem, remedy = copied(copies)
            raise InventoryError(f"{self._shown(name)}: {problem}", hint=remedy)
        if not named:
            readers = ", ".join(self.recipients.of(self.files.readers(name.partition("/")[0]) or ()).values())
            remedy = (
                f"if you know who wrote it: `hostwright secret rekey {name}` in the config repo makes it for {readers}"
            )
            raise InventoryError(f"{self._shown(name)}: lock.yaml does not know this file", hint=remedy)

    def _after(self, pin: SecretPin, before: SecretPin | None) -> SecretPin:
        """Return ``pin`` with those who left since ``before``: the value is the same, so they still know it."""
        known = {**before.left, **before.recipients} if before is not None else {}
        return replace(pin, left={who: name for who, name in known.items() if who not in pin.recipients})

    def _put(self, name: str, value: bytes) -> SecretPin:
        folder = name.partition("/")[0]
        readers = self.files.readers(folder)
        if readers is None:
            near = nearest(folder, self.files.folders, otherwise="name a group or host of the hosts file")
            raise UsageError(f'there is no group or host "{folder}"', hint=near)
        wanted = self.recipients.of(readers)
        self._require_admins(name)
        made = age.encrypt(value, list(wanted))
        path = self.folder / SECRETS / f"{name}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, made, mode=0o644)
        return SecretPin(hashlib.sha256(made).hexdigest(), wanted)

    def _require_admins(self, name: str) -> None:
        """Raise InventoryError if ``admins`` names nobody: no person could read ``name`` again."""
        if not self.recipients.admins:
            raise InventoryError(
                f"{self.folder.name}/{ADMINS_FILE} names nobody, so nobody could read {name} again",
                hint=f"write your age recipient or SSH public key into inventories/{self.folder.name}/{ADMINS_FILE}",
            )

    def _keep(self, pins: dict[str, SecretPin]) -> None:
        self.lock = replace(self.lock, secrets=pins)
        write_atomic(self.folder / LOCK_FILE, lock_text(self.lock).encode(), mode=0o644)

    def _shown(self, name: str) -> str:
        return f"inventories/{self.folder.name}/{SECRETS}/{name}{SUFFIX}"


class OwnKeys:
    """A person's keys. ``files``: the identity files that the person named; empty: the usual ones below ``home`` (None:
    the person's own). ``ask``: None where nobody can be asked for a passphrase."""

    def __init__(self, files: Sequence[Path], ask: _AskPassphrase | None, home: Path | None = None) -> None:
        self._named = bool(files)
        home = home or Path.home()
        self._files = tuple(files) or tuple(path for name in DEFAULT_FILES if (path := home / name).is_file())
        self._ask = ask
        self._locked: list[tuple[Path, bytes]] = []

    def decrypt(self, content: bytes, what: str) -> bytes:
        """The value of the age file ``content``, which errors call ``what``. A person is asked for passphrases only if
        no key without one fits. Raises InventoryError where the file is damaged or no key fits, UsageError for a key
        file that cannot be read or a wrong passphrase."""
        try:
            return age.decrypt(content, self._keys)
        except age.NotForUs:
            pass
        except age.AgeError as error:
            raise InventoryError(f"{what}: {error}", hint="restore it from Git, or set its value anew") from None
        while self._locked and self._ask is not None:
            path, data = self._locked.pop(0)
            try:
                self._keys += age.keys_of(data, self._ask(f"passphrase of {path}: ").encode())
            except age.AgeError as error:
                raise UsageError(f"{path}: {error}", hint="was the passphrase right?") from None
            try:
                return age.decrypt(content, self._keys)
            except age.AgeError:
                continue
        tried = ", ".join(map(str, self._files)) or "no key: none of the usual files is there"
        hint = f"name your age identity or SSH key with --identity; tried {tried}"
        raise InventoryError(f"{what} was not made for you", hint=hint)

    @cached_property
    def _keys(self) -> list[age.PrivateKey]:
        """The keys that need no passphrase. The files of the others are put into ``_locked``. Raises UsageError where a
        file that the person named has no key."""
        keys: list[age.PrivateKey] = []
        for path in self._files:
            try:
                data = read_bounded(path, KEY_LIMIT)
                keys += age.keys_of(data)
            except age.PassphraseNeeded:
                self._locked.append((path, data))
            except (OSError, ValueError, age.AgeError) as error:
                if self._named:
                    raise UsageError(f"{path}: {error}", hint="name an age identity or a private SSH key") from None
        return keys
