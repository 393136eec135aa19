"""The places of tools on a host, and a check that they are still what was put there.

    /opt/hostwright/tools/<name>/<version>/                  one version, with .hostwright.json in it
    /opt/hostwright/tools/<name>/.active.json                the version whose commands are linked
    /opt/hostwright/tools/.staging  .downloads               root's alone; new versions, and downloads
    /usr/local/bin/<command>                                 link into a version

The mark .hostwright.json is written last, so a folder with one is whole. It lists every file, with numbers that stat(2)
gave then. While these are the same, nobody has written to the file, and it need not be read again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.domain import codec
from agent.domain.text import some
from agent.errors import Consequence, DeployError, SettingsError
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system.attributes import giving
from agent.system.descriptor import opened
from agent.system.files import discard, read_bounded, require_owned_throughout, sync_file_system, write_atomic

MARK = ".hostwright.json"
_ACTIVE = ".active.json"
_FOLDER_MODE = 0o755
_READABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NAMED_REASONS = 3
_MARK_LIMIT = 256 * 1024 * 1024
"""Bytes; a hundred thousand files of long paths."""


@dataclass(frozen=True, slots=True)
class ToolStore:
    """The places of all tools of a host."""

    root: Path = Path("/")

    @property
    def tools(self) -> Path:
        return Paths(self.root).opt / "tools"

    @property
    def staging(self) -> Path:
        return self.tools / ".staging"

    @property
    def downloads(self) -> Path:
        return self.tools / ".downloads"

    @property
    def commands(self) -> Path:
        return self.root / "usr/local/bin"

    def tool(self, name: str) -> Path:
        return self.tools / name

    def version(self, name: str, version: str) -> Path:
        return self.tools / name / version

    def active(self, name: str) -> Path:
        return self.tool(name) / _ACTIVE

    def versions(self, name: str) -> list[str]:
        """The versions that are there, whole or not."""
        try:
            return sorted(entry.name for entry in os.scandir(self.tool(name)) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def prepare(self) -> None:
        """Make the folders. Raises DeployError if somebody but root could write on the way to them, OSError."""
        self.tools.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        try:
            require_owned_throughout(self.tools)
        except SettingsError as error:
            raise DeployError(error.message, hint=error.hint, kind=ProblemKind.PATH_REFUSED) from error
        for folder in (self.staging, self.downloads):
            folder.mkdir(mode=0o700, exist_ok=True)

    def take_away(self, path: Path) -> None:
        """Remove a version, or all of a tool. It is gone from ``path`` at once, whatever happens while it is deleted.
        Raises DeployError, OSError."""
        if os.path.lexists(path):
            self.prepare()
            aside = self.staging / f"{secrets.token_hex(8)}.old"
            path.rename(aside)
            discard(aside)


@dataclass(frozen=True, slots=True)
class SealedPath:
    """One file, folder (``.`` for the whole) or link of a version. ``digest`` is a file's sha256, ``target`` a
    link's; the four numbers are a file's as stat(2) gave them."""

    path: str
    type: int
    mode: int = 0
    digest: str = ""
    target: str = ""
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0

    def unwritten(self, status: os.stat_result) -> bool:
        now = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return now == (self.size, self.mtime_ns, self.ctime_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a version. ``content``: the digest of what was installed. ``owner``: the uid of all of it.
    ``commands``: path in the version, by command. ``interpreter``: the Python that an environment was made for."""

    content: str
    owner: int
    commands: dict[str, str]
    interpreter: str
    entries: list[SealedPath]


@dataclass(frozen=True, slots=True)
class Active:
    """The version whose commands are linked, and the commands."""

    version: str
    commands: list[str]


def seal(folder: Path, content: str, commands: dict[str, str], interpreter: str = "") -> Mark:
    """Give all that is in ``folder`` its final modes, put it on the disk for good, and mark it as whole. Returns the
    mark.

    Raises DeployError if something in there has the mark's name, OSError.
    """
    if os.path.lexists(folder / MARK):
        raise DeployError(f"it holds a file {MARK}, which is what ours is called", consequence=Consequence.STALL)
    entries = []
    for path in _below(folder):
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode):
            executable = stat.S_ISDIR(status.st_mode) or status.st_mode & 0o111
            path.chmod(0o755 if executable else 0o644)
        entries.append(_entry(path, f"{path.relative_to(folder)}"))
    sync_file_system(folder)
    mark = Mark(content, os.geteuid(), commands, interpreter, entries)
    write_atomic(folder / MARK, codec.encode(mark), mode=0o600)
    return mark


def read_mark(folder: Path) -> Mark | None:
    """The mark of a version; None for a folder that is not there, not whole, or not ours. Raises OSError where nobody
    may look."""
    try:
        return codec.decode(read_bounded(folder / MARK, _MARK_LIMIT), Mark)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def damage(folder: Path, mark: Mark) -> str:
    """The differences of ``folder`` from its ``mark``, in a few words; empty for none. Files that came on top, such as
    those that a tool itself keeps there, do not count."""
    judged = ((entry.path, _difference(f"{folder}/{entry.path}", entry, mark.owner)) for entry in mark.entries)
    return some([f"{'its folder' if path == '.' else path} {why}" for path, why in judged if why], _NAMED_REASONS)


def read_active(store: ToolStore, name: str) -> Active | None:
    try:
        return codec.decode(read_bounded(store.active(name)), Active)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_active(store: ToolStore, name: str, active: Active) -> None:
    write_atomic(store.active(name), codec.encode(active), mode=0o644)


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            yield Path(parent, name)


def _entry(path: Path, relative: str) -> SealedPath:
    status = path.lstat()
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    if kind == stat.S_IFLNK:
        return SealedPath(relative, kind, target=f"{path.readlink()}")
    if kind == stat.S_IFDIR:
        return SealedPath(relative, kind, mode)
    if kind != stat.S_IFREG:
        raise OSError(f"{path} is no file, folder or link")
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return SealedPath(relative, kind, mode, _sha256(path), "", status.st_size, *times, status.st_ino)


def _difference(path: str, entry: SealedPath, owner: int) -> str:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    if kind != entry.type:
        return "is something else"
    if status.st_uid != owner:
        return "belongs to another"
    if kind == stat.S_IFLNK:
        same = os.readlink(path) == entry.target  # noqa: PTH115  # a Path for each of many files costs as much as looking
    elif mode != entry.mode:
        return f"has mode {mode:04o}"
    else:
        same = kind == stat.S_IFDIR or entry.unwritten(status) or _sha256(path) == entry.digest
        if same and kind == stat.S_IFREG and not entry.unwritten(status) and _gives_rights(path):
            return "has capabilities or an ACL"
    return "" if same else "was altered"


def _gives_rights(path: str) -> bool:
    with opened(path, _READABLE) as descriptor:
        return bool(giving(descriptor))


def _sha256(path: Path | str) -> str:
    with opened(path, _READABLE) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
