"""The host's own keys, and the public keys of hosts in a config repo.

A folder on the host holds two private keys: ed25519 signs reports, X25519 decrypts secrets. The two public lines,
merged into the config repo as ``inventories/<name>/identities/<host>.pub``, are what admits the host.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from agent.domain.report import Report
from agent.domain.status import NAMESPACE, Signed, encode
from agent.domain.tree import Tree
from agent.errors import InventoryError, SettingsError, TrustError
from agent.system import age, public_keys, sshsig
from agent.system.files import make_private_folder, read_bounded, write_atomic
from agent.system.misplaced import misplaced_file, misplaced_folder

T = TypeVar("T")

PRIVATE_NAME = "ssh_ed25519"
PUBLIC_NAME = "ssh_ed25519.pub"
AGE_NAME = "age_x25519"
KEY_LIMIT = 16 * 1024
"""Bytes of a private key; an ed25519 key has about 400."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The key that signs this host's reports. ``public_line`` is ``ssh-ed25519 AAAA… host``, without a line end."""

    private_key: bytes = field(repr=False)
    public_line: str

    @classmethod
    def ensure(cls, folder: Path, host: str) -> Self:
        """The identity in ``folder``. Missing keys are made; an existing one is never replaced.

        Raises SettingsError when the signing key is there and cannot be used; OSError.
        """
        make_private_folder(folder)
        private = folder / PRIVATE_NAME
        if not os.path.lexists(private):
            key = Ed25519PrivateKey.generate()
            write_atomic(private, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), mode=0o600)
        identity = cls.load(folder, host)
        line = f"{identity.public_line}\n".encode()
        public = folder / PUBLIC_NAME
        if not public.is_file() or public.read_bytes() != line:
            write_atomic(public, line, mode=0o644)
        if not os.path.lexists(folder / AGE_NAME):
            write_atomic(folder / AGE_NAME, f"{age.generate()}\n".encode(), mode=0o600)
        return identity

    @classmethod
    def load(cls, folder: Path, host: str) -> Self:
        """The identity in ``folder``. Raises SettingsError when there is none, or it cannot be used."""
        path = folder / PRIVATE_NAME
        data, key = _private(folder, PRIVATE_NAME, lambda data: (data, load_ssh_private_key(data, password=None)))
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsError(f"{path}: not an ed25519 key", hint="remove it: the next cycle makes one")
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return cls(data, f"{public} {host}")

    @property
    def public(self) -> PublicIdentity:
        return PublicIdentity(self.public_line)

    def sign(self, message: bytes, namespace: str = NAMESPACE) -> bytes:
        """The armoured signature of ``message``: the bytes of a report, unless another ``namespace`` is given."""
        return sshsig.sign(self.private_key, message, namespace)

    def signed(self, report: Report) -> Signed:
        document = encode(report)
        return Signed(report, document, self.sign(document))


def decryption_key(folder: Path, name: str = AGE_NAME) -> str:
    """The age identity in ``folder`` (X25519, ``AGE-SECRET-KEY-1…``), with which this host decrypts secrets. Raises
    SettingsError."""

    def parsed(data: bytes) -> str:
        text = data.decode().strip()
        age.recipient_of(text)
        return text

    return _private(folder, name, parsed)


def public_lines(folder: Path, host: str) -> tuple[str, ...]:
    """The lines of ``identities/<host>.pub``. Raises SettingsError."""
    return Identity.load(folder, host).public_line, age.recipient_of(decryption_key(folder))


def _private(folder: Path, name: str, parse: Callable[[bytes], T]) -> T:
    """The private key in a file, as ``parse`` returns it. Raises SettingsError, also where others can read the file."""
    path = folder / name
    try:
        if wrong := misplaced_folder(folder) or misplaced_file(path):
            raise ValueError(f"there is {wrong} in its place")
        data = read_bounded(path, KEY_LIMIT)
        mode = stat.S_IMODE(path.stat().st_mode)
        key = parse(data)
    except (OSError, ValueError, TypeError, age.AgeError) as error:
        raise SettingsError(
            f"{path}: the host's key cannot be used: {error}",
            hint="restore it from a backup, or remove it: the next cycle makes a new one, to be admitted anew",
        ) from error
    if mode & 0o077:
        raise SettingsError(f"{path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}")
    return key


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """The content of one ``<host>.pub``. ``ssh``: the line of the key that verifies signatures. ``age``: the recipient
    that secrets are encrypted to; None without one."""

    ssh: str
    age: str | None = None

    @property
    def key(self) -> str:
        """The key in ``ssh``, without its comment."""
        return " ".join(self.ssh.split()[:2])

    @property
    def fingerprint(self) -> str:
        """The fingerprint of ``ssh``, as ssh-keygen prints it: ``SHA256:…``."""
        return public_keys.fingerprint(self.ssh)

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """The identity in the ``content`` of a file. Blank lines and ``#`` comments are allowed. ``where``: the name of
        the file. Raises InventoryError with it."""
        hint = "two lines, as `hostwright identity` prints them: `ssh-ed25519 AAAA…` and `age1…`"
        try:
            lines = [line.strip() for line in content.decode().splitlines()]
            lines = [line for line in lines if line and not line.startswith("#")]
            ssh, *rest = lines or [""]
            sshsig.raw_public_key(ssh)
            recipients = [age.recipient(line) for line in rest if line.startswith("age1")]
        except (UnicodeDecodeError, TrustError, age.AgeError) as error:
            raise InventoryError(f"{where}: {error}", hint=hint) from error
        if len(rest) > 1 or len(recipients) != len(rest):
            raise InventoryError(f"{where}: the second line is not an age recipient, or more lines follow", hint=hint)
        return cls(ssh, recipients[0] if recipients else None)


def admitted_as(tree: Tree, inventory: str, host: str) -> PublicIdentity | None:
    """The identity of one host in a config repo; None where it has none that can be read."""
    path = f"inventories/{inventory}/identities/{host}.pub"
    try:
        return PublicIdentity.parse(tree.read(path), path)
    except (KeyError, InventoryError):
        return None


def admitted(tree: Tree, inventory: str) -> tuple[Mapping[str, PublicIdentity], tuple[InventoryError, ...]]:
    """All identities of an inventory by host name, and an error for each file that cannot be read as one.

    One broken file must not make a reader distrust all other hosts, so errors are returned, not raised.
    """
    folder = f"inventories/{inventory}/identities"
    found: dict[str, PublicIdentity] = {}
    complaints: list[InventoryError] = []
    for entry in tree.entries(folder):
        name = entry.path.removeprefix(f"{folder}/")
        if "/" in name or not name.endswith(".pub"):
            continue
        try:
            found[name.removesuffix(".pub")] = PublicIdentity.parse(tree.read(entry.path), entry.path)
        except InventoryError as error:
            complaints.append(error)
    return found, tuple(complaints)
