"""~/.ssh of an account: read by root and written as the account, by descriptors that never lead out of the home."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.deploys.as_user import LocalUser, as_user
from agent.deploys.at_path import AtPath, Attributes, look
from agent.deploys.users import keys
from agent.deploys.writing import put_file, put_folder, remove, set_attributes
from agent.errors import DeployError
from agent.system.safe_open import UnsafePath, folder

SSH_MODE = 0o700
KEYS_MODE = 0o600
ASIDE = ".revoked"

_SSH, _KEYS = ".ssh", "authorized_keys"
_KEY_FILES = (_KEYS, "authorized_keys2")
"""The files that sshd reads by default (sshd_config(5), AuthorizedKeysFile). Keys in other files let nobody in either
once the account has expired."""


_ABSENT = AtPath()


@dataclass(frozen=True, slots=True)
class SshFolder:
    """~/.ssh and authorized_keys of a home, each as found. ``lets_in``: the owners (uid) of the files of keys that are
    not empty."""

    folder: AtPath = _ABSENT
    file: AtPath = _ABSENT
    lets_in: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        return (self.file.content or b"").decode(errors="surrogateescape")

    def is_of(self, uid: int) -> bool:
        """True where there is an authorized_keys file of that account: two accounts may share a home, and the agent
        writes as the account."""
        return self.file.status is not None and self.file.status.st_uid == uid

    def proper(self, uid: int) -> bool:
        """True where folder and file, as far as they are there, have the mode that the agent gives them and belong to
        ``uid``. sshd accepts these (StrictModes)."""
        return all(
            found.status is None or (found.mode == mode and found.status.st_uid == uid)
            for found, mode in ((self.folder, SSH_MODE), (self.file, KEYS_MODE))
        )


NOTHING = SshFolder()


def ssh_folder(path: str) -> SshFolder:
    """Look at ~/.ssh in the home at ``path``. Raises OSError, and UnsafePath where a link could lead out of the home,
    something else is in the place of a folder or a file, or authorized_keys is too large."""
    try:
        with folder(None, path.strip("/"), root_links=True) as home:
            found = _required(look(home, _SSH, read=False), stat.S_IFDIR, f"{path}/{_SSH}")
            if found.status is None:
                return NOTHING
            with folder(home, _SSH, root_links=False) as ssh:
                files = [look(ssh, name) for name in _KEY_FILES]
                file = _required(files[0], stat.S_IFREG, f"{path}/{_SSH}/{_KEYS}")
                if file.status is not None and file.content is None:
                    raise UnsafePath(f"{path}/{_SSH}/{_KEYS} is too large to be read, and is left alone")
                lets_in = {each.status.st_uid for each in files if each.status and (each.content or b"").strip()}
                return SshFolder(found, file, frozenset(lets_in))
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING


def write_keys(name: str, wanted: Sequence[str], exclusive: bool) -> None:
    """Put the ``wanted`` keys into the account's authorized_keys, done as that user. ``exclusive``: see
    ``keys.updated``. Raises DeployError."""

    def work(user: LocalUser, home: int) -> None:
        now = ssh_folder(user.home)
        text = keys.updated(now.text, wanted, exclusive=exclusive)
        if not wanted and text == now.text:
            return  # No key of ours is in the file.
        private = Attributes(SSH_MODE, user.uid, user.gid)
        if now.folder.status is None:
            put_folder(home, _SSH, private, backup=False)
        else:
            set_attributes(home, _SSH, private)
        with folder(home, _SSH, root_links=False) as ssh:
            attributes = Attributes(KEYS_MODE, user.uid, user.gid)
            put_file(ssh, _KEYS, text.encode(errors="surrogateescape"), attributes, backup=False)

    _as_owner(name, work, home_needed=bool(wanted))


def put_keys_aside(name: str) -> None:
    """Rename the account's files of keys, whoever wrote them, so that sshd does not read them; nothing is lost. Done as
    that user. Raises DeployError."""

    def work(user: LocalUser, home: int) -> None:
        with suppress(FileNotFoundError), folder(home, _SSH, root_links=False) as ssh:
            if look(home, _SSH, read=False).mode & SSH_MODE != SSH_MODE:  # its owner may have made it read-only
                set_attributes(home, _SSH, Attributes(SSH_MODE, user.uid, user.gid))
            for file in _KEY_FILES:
                _put_aside(ssh, file)

    _as_owner(name, work, home_needed=False)


def put_back(name: str, image: bytes | None, keys_mode: int | None, ssh_mode: int | None) -> None:
    """Give authorized_keys the content ``image`` and the mode ``keys_mode``; remove it where either is None. Give
    ~/.ssh the mode ``ssh_mode``; None: it was not there, so remove it if it is empty. Done as that user. Raises
    DeployError."""

    def work(user: LocalUser, home: int) -> None:
        with folder(home, _SSH, root_links=False) as ssh:
            if image is None or keys_mode is None:
                remove(ssh, _KEYS, backup=False)
            else:
                put_file(ssh, _KEYS, image, Attributes(keys_mode, user.uid, user.gid), backup=False)
        if ssh_mode is not None:
            set_attributes(home, _SSH, Attributes(ssh_mode, user.uid, user.gid))
        elif look(home, _SSH).empty:
            remove(home, _SSH, backup=False)

    _as_owner(name, work)


def _as_owner(name: str, work: Callable[[LocalUser, int], None], *, home_needed: bool = True) -> None:
    """Run ``work`` as the account, with a descriptor of its home. ``home_needed`` False: nothing is done where there is
    no home. Raises DeployError."""
    user = LocalUser.named(name)

    def done() -> None:
        try:
            with folder(None, user.home.strip("/"), root_links=True) as home:
                work(user, home)
        except OSError as error:
            if home_needed or not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise DeployError(f"{user.home}/{_SSH}/{_KEYS}: {error.strerror or error}") from error

    as_user(user, done)


def _put_aside(ssh: int, file: str) -> None:
    """Rename a file of keys. Where a folder is in the way of the usual name, it gets one that nobody can guess."""
    with suppress(FileNotFoundError):
        try:
            os.rename(file, f"{file}{ASIDE}", src_dir_fd=ssh, dst_dir_fd=ssh)
        except (IsADirectoryError, NotADirectoryError):
            os.rename(file, f"{file}{ASIDE}-{secrets.token_hex(8)}", src_dir_fd=ssh, dst_dir_fd=ssh)


def _required(found: AtPath, kind: int, path: str) -> AtPath:
    if found.type not in (0, kind):
        raise UnsafePath(f"{path} is {found.name}, and is left alone", hint="put a plain one in its place")
    return found
