"""The state that every tool writes, how it is broken, and a reader of it that knows none of the tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TREE = "/srv/tree"
ACCOUNTS = 6
FILES_IN_FOLDER = 10
_GROUP = 1 + FILES_IN_FOLDER + 1
"""A folder, its files, and a link to one of them."""

FILE_MODE, FOLDER_MODE = 0o644, 0o755


@dataclass(frozen=True, slots=True)
class State:
    """Resources of one host; all that has an owner is root's.

    ``files`` maps a path to its content, ``links`` a path to its target. Folders are in order, a parent before what is
    in it.
    """

    packages: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of its resources."""
        return sum(map(len, (self.packages, self.accounts, self.folders, self.files, self.links)))


def state_of(size: int, packages: tuple[str, ...]) -> State:
    """A state of ``size`` resources: ``packages``, accounts, and below TREE ten files and a link for each folder."""
    groups, rest = divmod(size - len(packages) - ACCOUNTS - 1, _GROUP)
    folders = [f"{TREE}/{number}" for number in range(groups)]
    files = {f"{folder}/{name}": f"file {name} of {folder}\n" for folder in folders for name in range(FILES_IN_FOLDER)}
    files |= {f"{TREE}/rest{number}": f"file {number} of the rest\n" for number in range(rest)}
    links = {f"{TREE}/link{number}": f"{number}/0" for number in range(groups)}
    return State(packages, tuple(f"user{number}" for number in range(ACCOUNTS)), (TREE, *folders), files, links)


def differences(root: Path, state: State) -> Iterator[str]:
    """Each resource of ``state`` that the host with the file system ``root`` does not hold."""
    installed = set(_installed(root))
    yield from (f"package {name} is not installed" for name in state.packages if name not in installed)
    known = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    yield from (f"there is no account {name}" for name in state.accounts if name not in known)
    for path in (*state.folders, *state.files, *state.links):
        place = root / path.removeprefix("/")
        if not place.is_symlink() and not place.exists():
            yield f"{path} is missing"
        elif path in state.links:
            if not place.is_symlink() or str(place.readlink()) != state.links[path]:
                yield f"{path} does not link to {state.links[path]}"
        elif wrong := _wrong(place, state.files.get(path)):
            yield f"{path} {wrong}"


def _wrong(place: Path, content: str | None) -> str:
    """The first difference of a folder (``content`` is None) or a file."""
    found, mode = place.lstat(), FOLDER_MODE if content is None else FILE_MODE
    if place.is_symlink() or place.is_dir() != (content is None):
        return "is something else"
    if (found.st_uid, found.st_gid, found.st_mode & 0o7777) != (0, 0, mode):
        return f"has mode {found.st_mode & 0o7777:o} and owner {found.st_uid}:{found.st_gid}"
    return "has other content" if content is not None and place.read_text() != content else ""


def _installed(root: Path) -> Iterator[str]:
    for paragraph in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            yield fields["Package"]


def signature(root: Path, state: State) -> dict[str, tuple[int, ...]]:
    """By path, what any change of a resource changes: equal before and after a run that changed nothing."""
    paths = ("/etc/passwd", "/etc/shadow", "/var/lib/dpkg/status", *state.folders, *state.files, *state.links)
    found = {path: (root / path.removeprefix("/")).lstat() for path in paths}
    return {path: (at.st_ino, at.st_mode, at.st_uid, at.st_gid, at.st_ctime_ns) for path, at in found.items()}


def let_drift(root: Path, state: State) -> None:
    """Change one file in the middle of the tree, as somebody with an editor would."""
    path = sorted(state.files)[len(state.files) // 2]
    (root / path.removeprefix("/")).write_text("edited by hand\n")


def wreck(root: Path, state: State) -> None:
    """Remove all of the tree, and every account with its home."""
    for folder in (TREE.removeprefix("/"), *(f"home/{name}" for name in state.accounts)):
        shutil.rmtree(root / folder, ignore_errors=True)
    for name in ("passwd", "shadow", "group", "gshadow"):
        file = root / "etc" / name
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if line.split(":")[0] not in state.accounts))
