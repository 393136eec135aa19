"""The check of a repository on this host before git runs in it as root: nobody else may be able to change its files.

Git obeys the configuration, hooks and refs of a repository, and other folders that these name. So every file and folder
is checked, the targets of links, and the object folders from which it borrows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.domain.text import printable
from agent.errors import SettingsError
from agent.problems import ProblemKind
from agent.system.files import others_hand, read_bounded, require_owned_throughout

ENTRIES_MOST: Final = 200_000
"""Files and folders of one repository; `git gc` leaves a few dozen."""
_TEXT_LIMIT: Final = 1024 * 1024


def require_owned_repository(folder: Path) -> None:
    """Raise SettingsError if others than root (or the user who runs this) could change any file of the repository, or
    if that cannot be checked. The error names the first such file."""
    inner = folder / ".git"
    if os.path.lexists(inner) and not inner.is_dir():
        raise _refused(inner, "is of a linked worktree or a submodule", "name the repository that it belongs to")
    pending, seen, left = [inner if inner.is_dir() else folder], set[Path](), ENTRIES_MOST
    while pending:
        place = pending.pop().resolve()
        if place in seen:
            continue
        seen.add(place)
        require_owned_throughout(place)
        for path, status in _walk(place):
            left -= 1
            if left < 0:
                raise _refused(folder, f"holds more than {ENTRIES_MOST} files", f"git -C {folder} gc")
            if stat.S_ISLNK(status.st_mode):
                pending.append(path.parent / path.readlink())
            elif hand := others_hand(status):  # sticky folders too: git would read a file that somebody adds there
                raise _refused(path, hand, f"chown -R root: and chmod -R go-w {path.parent}")
        pending.extend(_named_in(place))


def _walk(place: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All files and folders in ``place`` with their status, but for those that vanish meanwhile, such as the temporary
    folders of a push."""
    folders = [place] if place.is_dir() else []
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Path(entry.path), status
                if stat.S_ISDIR(status.st_mode):
                    folders.append(Path(entry.path))


def _named_in(place: Path) -> Iterator[Path]:
    """The object folders that a repository, or a folder of objects, at ``place`` borrows from. Raises SettingsError for
    other ways to send git to other files."""
    if (place / "commondir").exists():
        raise _refused(place, "is a linked worktree", "name the repository that it belongs to")
    for name in ("config", "config.worktree"):
        if "[include" in _text(place / name).lower().replace(" ", "").replace("\t", ""):
            raise _refused(place / name, "includes other files, which git would obey", "write here what they say")
    for objects in (place / "objects", place):
        for line in _text(objects / "info/alternates").splitlines():
            if line.startswith('"'):
                raise _refused(objects / "info/alternates", "names a folder in quotes", "write the plain path")
            if line and not line.startswith("#"):
                yield objects / line


def _text(file: Path) -> str:
    try:
        return read_bounded(file, _TEXT_LIMIT).decode(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError as error:
        raise _refused(file, f"cannot be read: {error.strerror or error}", f"look at {file}") from error


def _refused(path: Path, why: str, hint: str) -> SettingsError:
    return SettingsError(f"{printable(str(path))} {why}", hint=hint, kind=ProblemKind.BAD_REMOTE)
