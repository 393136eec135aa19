"""~/.ssh of an account: read by root and written as the account, by descriptors that never lead out of the home.

In authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT") the agent's lines stand between two markers. So a key that
left Git can be told from one that a person put there.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.as_user import LocalUser, as_user
from agent.deploys.at_path import AtPath, Attributes, look
from agent.deploys.edits import BlockEdit
from agent.deploys.writing import put_file, put_folder, remove, set_attributes
from agent.errors import DeployError
from agent.system.descriptor import opened
from agent.system.files import explained
from agent.system.public_keys import KEY
from agent.system.safe_open import UnsafePath, folder

SSH_MODE = 0o700
KEYS_MODE = 0o600
ASIDE = ".revoked"

_SSH, _KEYS = ".ssh", "authorized_keys"
_KEY_FILES = (_KEYS, "authorized_keys2")
"""The files that sshd reads by default (sshd_config(5), AuthorizedKeysFile). Keys in other files let nobody in either
once the account has expired."""

_ABSENT = AtPath()

_BLOCK = "keys"
"""The name of the agent's block in authorized_keys."""


def updated_keys(text: str, keys: Iterable[str], *, exclusive: bool) -> str:
    """``text`` of an authorized_keys file with ``keys`` in it, and no others in the agent's block.

    A line outside the block with one of the keys and the same options is a person's: it stays, and the block leaves
    that key out. With other options the line is removed: sshd takes the first line with a key, and that one could
    allow more than is wanted. Other lines stay, unless ``exclusive``. Where a marker was lost, nobody knows whose the
    lines are: all lines with a wanted key go, and the block has these keys again.
    """
    wanted = {_identity(key): key for key in keys}
    torn = _is_torn(BlockEdit(_BLOCK, None).found(text))
    kept = [
        line for line in text.split("\n") if not (_identity(line) in wanted if torn else _contradicts(line, wanted))
    ]
    rest = "" if exclusive else "\n".join(kept)
    theirs = {_identity(line) for line in BlockEdit(_BLOCK, None).apply(rest).split("\n")}
    ours = [key for identity, key in wanted.items() if identity not in theirs]
    after = BlockEdit(_BLOCK, "\n".join(ours) if ours else None).apply(rest)
    return text if after == f"{text}\n" else after


def count_keys(before: str, after: str) -> tuple[int, int]:
    """The number of keys added, and of keys removed; comments do not count."""
    old, new = _entries(before), _entries(after)
    return sum(line not in old for line in new), sum(line not in new for line in old)


def _entries(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _is_torn(found: str) -> bool:
    """True where ``found``, the block in the file, has a marker without its partner."""
    return found.count(" BEGIN hostwright ") != found.count(" END hostwright ")


def _contradicts(line: str, wanted: Mapping[str, str]) -> bool:
    """True where the line has a wanted key with other options."""
    key = wanted.get(_identity(line))
    return key is not None and _options(key) != _options(line)


def _identity(line: str) -> str:
    """Type and content of the key in a line, without options and comment; empty for a line without a key."""
    match = None if line.lstrip().startswith("#") else KEY.search(line)
    return f"{match['type']} {match['blob']}" if match else ""


def _options(line: str) -> str:
    match = KEY.search(line)
    return line[: match.start()].strip() if match else ""


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
    ``updated_keys``. Raises DeployError."""

    def work(user: LocalUser, home: int) -> None:
        _open_up(user, home)
        now = ssh_folder(user.home)
        text = updated_keys(now.text, wanted, exclusive=exclusive)
        if not wanted and text == now.text:
            return  # No key of ours is in the file.
        private = Attributes(SSH_MODE, user.uid, user.gid)
        if now.folder.status is None:
            put_folder(home, _SSH, private, backup=False)
        else:
            set_attributes(home, _SSH, private, seen=now.folder)
        with folder(home, _SSH, root_links=False) as ssh:
            attributes = Attributes(KEYS_MODE, user.uid, user.gid)
            put_file(ssh, _KEYS, text.encode(errors="surrogateescape"), attributes, backup=False)

    _as_owner(name, work, home_needed=bool(wanted))


def put_keys_aside(name: str) -> None:
    """Rename the account's files of keys, whoever wrote them, so that sshd does not read them; nothing is lost. Done as
    that user. Raises DeployError."""

    def work(user: LocalUser, home: int) -> None:
        _open_up(user, home)
        with suppress(FileNotFoundError), folder(home, _SSH, root_links=False) as ssh:
            for file in _KEY_FILES:
                _put_aside(ssh, file)

    _as_owner(name, work, home_needed=False)


def put_back(name: str, image: bytes | None, keys_mode: int | None, ssh_mode: int | None) -> None:
    """Give authorized_keys the content ``image`` and the mode ``keys_mode``; remove it where either is None. Give
    ~/.ssh the mode ``ssh_mode``; None: it was not there, so remove it if it is empty. Done as that user. Raises
    DeployError."""

    def work(user: LocalUser, home: int) -> None:
        _open_up(user, home)
        with folder(home, _SSH, root_links=False) as ssh:
            if image is None or keys_mode is None:
                remove(ssh, _KEYS, backup=False)
            else:
                put_file(ssh, _KEYS, image, Attributes(keys_mode, user.uid, user.gid), backup=False)
        if ssh_mode is not None:
            set_attributes(home, _SSH, Attributes(ssh_mode, user.uid, user.gid), seen=look(home, _SSH))
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
                path = Path(user.home, _SSH, _KEYS)
                raise DeployError(f"{path}: {explained(error, path).strerror or error}") from error

    as_user(user, done)


def _open_up(user: LocalUser, home: int) -> None:
    """Give the account back its own rights to its ~/.ssh and authorized_keys. Without them the keys could not be
    changed, and sshd may still read them (in a folder of mode 0100)."""
    with suppress(FileNotFoundError, NotADirectoryError):
        _give_back(user, home, _SSH, stat.S_IFDIR, SSH_MODE)
        with folder(home, _SSH, root_links=False) as ssh:
            _give_back(user, ssh, _KEYS, stat.S_IFREG, KEYS_MODE)


def _give_back(user: LocalUser, parent: int, name: str, kind: int, rights: int) -> None:
    with opened(name, os.O_PATH | os.O_NOFOLLOW, at=parent) as found:
        status = os.fstat(found)
        if stat.S_IFMT(status.st_mode) == kind and status.st_uid == user.uid and status.st_mode & rights != rights:
            Path(f"/proc/self/fd/{found}").chmod(stat.S_IMODE(status.st_mode) | rights)


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
