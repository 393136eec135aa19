"""The host's side of users: programs, ~/.ssh/authorized_keys written as its owner, and drop-ins of sudoers."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.as_user import LocalUser, as_user
from agent.deploys.at_path import AtPath, look
from agent.deploys.telling import reason
from agent.deploys.users import keys
from agent.deploys.users.decide import Command
from agent.deploys.writing import Attributes, put_file, put_folder, set_attributes
from agent.errors import DeployError
from agent.system.files import read_bounded, write_atomic
from agent.system.process import run
from agent.system.safe_open import UnsafePath, folder

SUDOERS_FOLDER = Path("/etc/sudoers.d")
SUDOERS_MODE = 0o440

SSH_MODE = 0o700
KEYS_MODE = 0o600

TIMEOUT_S = 300.0
"""usermod walks a whole home when a uid changes or a home moves."""

_SSH, _KEYS = ".ssh", "authorized_keys"
_KEY_FILES = (_KEYS, "authorized_keys2")
"""All that sshd reads in a home where nobody told it otherwise (sshd_config(5), AuthorizedKeysFile)."""
ASIDE = ".revoked"


def carry_out(command: Command) -> None:
    """Raises DeployError with the program's last words."""
    try:
        done = run(command.argv, timeout_s=TIMEOUT_S, input=command.input)
    except FileNotFoundError:
        raise DeployError(
            f"{command.argv[0]} is not on this host", hint="install the package shadow or passwd"
        ) from None
    if done.timed_out or done.code not in command.fine:
        said = f"not done after {TIMEOUT_S:.0f} s" if done.timed_out else reason(done)
        raise DeployError(f"{command.argv[0]}: {said}")


@dataclass(frozen=True, slots=True)
class SshFolder:
    """What a home has of keys: the folder and the file, each as found."""

    folder: AtPath
    file: AtPath

    @property
    def text(self) -> str:
        return (self.file.content or b"").decode(errors="surrogateescape")

    def is_of(self, uid: int) -> bool:
        """Whether there is a file, and it is that account's: two may share a home, and we write as the account."""
        return self.file.status is not None and self.file.status.st_uid == uid

    def proper(self, uid: int) -> bool:
        """Whether sshd would accept modes and owners (StrictModes), and they are as we write them."""
        return all(
            found.status is None or (found.mode == mode and found.status.st_uid == uid)
            for found, mode in ((self.folder, SSH_MODE), (self.file, KEYS_MODE))
        )


NOTHING = SshFolder(AtPath(), AtPath())


def ssh_folder(path: str) -> SshFolder:
    """What the home at ``path`` has. Raises OSError, and UnsafePath where following it could lead out of the home."""
    try:
        with folder(None, path.strip("/"), root_links=True) as home:
            found = _required(look(home, _SSH, read=False), stat.S_IFDIR, f"{path}/{_SSH}")
            if found.status is None:
                return NOTHING
            with folder(home, _SSH, root_links=False) as ssh:
                file = _required(look(ssh, _KEYS), stat.S_IFREG, f"{path}/{_SSH}/{_KEYS}")
                if file.status is not None and file.content is None:
                    raise UnsafePath(f"{path}/{_SSH}/{_KEYS} is too large to be read, and is left alone")
                return SshFolder(found, file)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING


def write_keys(name: str, wanted: Sequence[str], exclusive: bool) -> None:
    """Brings the account's authorized_keys up to date, as that user. Raises DeployError."""
    user = LocalUser.named(name)

    def work() -> None:
        try:
            _put_keys(user, wanted, exclusive)
        except OSError as error:
            raise DeployError(f"{user.home}/{_SSH}/{_KEYS}: {error.strerror or error}") from error

    as_user(user, work)


def _put_keys(user: LocalUser, wanted: Sequence[str], exclusive: bool) -> None:
    now = ssh_folder(user.home)
    text = keys.updated(now.text, wanted, exclusive=exclusive)
    if not wanted and text == now.text:
        return  # Nothing of ours is in there.
    with folder(None, user.home.strip("/"), root_links=True) as home:
        private = Attributes(SSH_MODE, user.uid, user.gid)
        if now.folder.status is None:
            put_folder(home, _SSH, private, backup=False)
        else:
            set_attributes(home, _SSH, private)
        with folder(home, _SSH, root_links=False) as ssh:
            attributes = Attributes(KEYS_MODE, user.uid, user.gid)
            put_file(ssh, _KEYS, text.encode(errors="surrogateescape"), attributes, backup=False)


def put_keys_aside(name: str) -> None:
    """Takes the account's keys out of sshd's sight, whoever put them there; they lie beside, for whoever asks. Done as
    that user. Raises DeployError."""
    user = LocalUser.named(name)

    def work() -> None:
        try:
            with (
                folder(None, user.home.strip("/"), root_links=True) as home,
                folder(home, _SSH, root_links=False) as ssh,
            ):
                if look(home, _SSH, read=False).mode & SSH_MODE != SSH_MODE:  # its owner may have made it read-only
                    set_attributes(home, _SSH, Attributes(SSH_MODE, user.uid, user.gid))
                for file in _KEY_FILES:
                    _put_aside(ssh, file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DeployError(f"{user.home}/{_SSH}: {error.strerror or error}") from error

    as_user(user, work)


def _put_aside(ssh: int, file: str) -> None:
    """Under a name that nobody can guess, where the account has put something in the way of the usual one."""
    with suppress(FileNotFoundError):
        try:
            os.rename(file, f"{file}{ASIDE}", src_dir_fd=ssh, dst_dir_fd=ssh)
        except (IsADirectoryError, NotADirectoryError):
            os.rename(file, f"{file}{ASIDE}-{secrets.token_hex(8)}", src_dir_fd=ssh, dst_dir_fd=ssh)


def sudoers(name: str) -> tuple[str | None, bool]:
    """The text of the account's drop-in, None without one, and whether its mode and owner are right."""
    path = _drop_in(name)
    try:
        text = read_bounded(path).decode(errors="replace")
        status = path.lstat()
    except FileNotFoundError:
        return None, True
    except OSError:
        return "", False
    return text, stat.S_IMODE(status.st_mode) == SUDOERS_MODE and status.st_uid == status.st_gid == 0


def write_sudoers(name: str, text: str) -> str:
    """Returns what it has to tell, mostly nothing. Raises DeployError where sudo would not understand it: a wrong file
    there switches sudo off for everybody."""
    if not SUDOERS_FOLDER.is_dir():
        hint = "install it in a deploy before this one (`packages: {present: [sudo]}`)"
        raise DeployError(f"{name}: sudo is not on this host", hint=hint)
    visudo = shutil.which("visudo", path="/usr/local/sbin:/usr/sbin:/sbin")
    if visudo is not None:
        checked = run([visudo, "-c", "-f", "-"], timeout_s=TIMEOUT_S, input=text.encode())
        if not checked.ok:
            raise DeployError(f"{name}: sudo does not understand its rule: {reason(checked)}", hint="see sudoers(5)")
    write_atomic(_drop_in(name), text.encode(), mode=SUDOERS_MODE)
    return "" if visudo is not None else f"{name}: its rule was not checked, there is no visudo on this host"


def remove_sudoers(name: str) -> None:
    """Also the folder of drop-ins, where that had to outlive sudo for this one."""
    _drop_in(name).unlink(missing_ok=True)
    gone = not (SUDOERS_FOLDER.parent / "sudoers").exists() and SUDOERS_FOLDER.is_dir()
    if gone and not any(SUDOERS_FOLDER.iterdir()):
        SUDOERS_FOLDER.rmdir()


def _required(found: AtPath, kind: int, path: str) -> AtPath:
    if found.type not in (0, kind):
        raise UnsafePath(f"{path} is {found.name}, and is left alone", hint="put a plain one in its place")
    return found


def _drop_in(name: str) -> Path:
    return SUDOERS_FOLDER / f"hostwright-{name}"
