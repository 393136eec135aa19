"""The private keys of the person who runs a command: age identities and SSH keys, read from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from agent.errors import InventoryError, UsageError
from agent.system import age
from agent.system.files import read_bounded

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
    def _keys(self) -> list[age.Key]:
        """The keys that need no passphrase. The files of the others are put into ``_locked``. Raises UsageError where a
        file that the person named has no key."""
        keys: list[age.Key] = []
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
