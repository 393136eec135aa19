"""Answers about files: the lines that ``stat``, a hash, ``cat``, ``find``, ``grep`` and ``awk`` would print.

Only the plain case is answered: an absolute path of printable ASCII, with nothing, a regular file or a readable tree
there. In every other case the functions return None, and the program itself is run.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Callable
from io import FileIO

from agent.engine.facts.shape import Lines

_PLAIN = re.compile(r"/[ -&(-\[\]-~]*")
"""Printable ASCII without the quote and the backslash: every program prints such characters unchanged."""

_SEARCHED_MAX = 1 << 20
"""The most bytes of a file that is searched here: ``re`` may take longer than linear time."""

_FOLDER_MAX = 10_000
"""The most entries of a folder for which ``find`` keeps the order of the file system."""

_STARS_MAX = 4
"""The most stars in a pattern: with more, Python could take for ever."""

_ATOM = re.compile(
    r"\\(?P<escaped>[.[*^$\\])"
    r"|(?P<any>\.)"
    r"|(?P<set>\[\^?[\w #;,!%/<>@'\"]+\])"
    r"|(?P<extended>[+?{}()|])"
    r"|(?P<literal>[^][\\.*^$+?{}()|])",
    re.ASCII,
)

_OWN_PROCESS = ("/proc/self/", "/proc/thread-self/")


def status(path: str) -> Lines | None:
    """The line that GNU stat prints for a path, not following a link; no line where nothing is there."""
    if not _is_plain(path) or "QUOTING_STYLE" in os.environ:
        return None
    try:
        found = os.lstat(path)
        is_link = stat.S_ISLNK(found.st_mode)
        target = os.readlink(path) if is_link else None  # noqa: PTH115  # a word of a command
    except FileNotFoundError:
        return []
    except OSError:
        return None
    name = f"'{path}'"
    if target is not None:
        if not _PLAIN.fullmatch(f"/{target}"):
            return None
        name += f" -> '{target}'"
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    accessed, modified, changed = (time // 1_000_000_000 for time in times)
    user, group = _name(pwd.getpwuid, found.st_uid), _name(grp.getgrgid, found.st_gid)
    return [
        f"user={user} group={group} mode={stat.filemode(found.st_mode)}"
        f" atime={accessed} mtime={modified} ctime={changed} size={found.st_size} {name}"
    ]


def digest(algorithm: str, path: str) -> Lines | None:
    """The line that ``sha1sum`` or another such program prints for a file; no line where nothing is there."""
    try:
        with _opened(path) as file:
            return [f"{hashlib.file_digest(file, algorithm).hexdigest()}  {path}"]
    except FileNotFoundError:
        return []
    except OSError:
        return None


def content(path: str) -> Lines | None:
    """The lines of a file; none where nothing is there."""
    data = _content(path)
    return None if data is None else _lines(data)


def existing_content(path: str) -> Lines | None:
    """The lines of a file; None where nothing is there."""
    return content(path) if os.path.exists(path) else None  # noqa: PTH110  # a word of a command


def regular_content(path: str) -> Lines | None:
    """The lines of a regular file; none where there is something else, or nothing."""
    if _is_plain(path) and not os.path.isfile(path):  # noqa: PTH113  # a word of a command
        return []
    return content(path)


def content_or(path: str, missing: str) -> Lines | None:
    if not _is_plain(missing, start=""):
        return None
    if _is_plain(path) and not os.path.exists(path):  # noqa: PTH110  # a word of a command
        return [missing]
    return content(path)


def below(path: str, kind: str) -> Lines | None:
    """The paths of one type that ``find`` prints at and below ``path``, in its order; none where nothing is there.
    ``kind``: f, l or d, as ``find -type`` takes it."""
    if not _is_plain(path) or path.endswith("/"):
        return None
    found: list[bytes] = []
    try:
        there = os.lstat(path).st_mode
        if kind == {stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFDIR: "d"}.get(stat.S_IFMT(there)):
            found.append(os.fsencode(path))
        if stat.S_ISDIR(there):
            _descend(os.fsencode(path), kind, found)
    except FileNotFoundError:
        return [] if not found else None
    except (OSError, RecursionError):
        return None
    return _lines(b"".join(name + b"\n" for name in found))


def matching(pattern: str, path: str, exists: str, *, extended: bool) -> Lines | None:
    """The lines that ``grep`` finds in a regular file; ``exists`` where it finds none, no line where nothing is
    there."""
    search = _translated(pattern, extended=extended)
    data = _searchable(path) if search and _is_plain(exists, start="") else None
    if data is None or search is None:
        return [] if search and _is_missing(path) else None
    return [line for line in _lines(data) if search.search(line)] or [exists]


def _translated(pattern: str, *, extended: bool) -> re.Pattern[str] | None:
    """The pattern of grep as a pattern of Python, where both are certain to find the same lines of ASCII text; else
    None. ``extended``: True for ``grep -E``."""
    if not (pattern.isascii() and pattern.isprintable()):
        return None
    rest, made = (pattern[1:], "^") if pattern.startswith("^") else (pattern, "")
    end = ""
    if rest.endswith("$") and not rest.endswith("\\$"):
        rest, end = rest[:-1], r"\Z"
    if not rest:
        return None
    place = 0
    while place < len(rest):
        atom = _ATOM.match(rest, place)
        if atom is None or (atom["extended"] and extended):
            return None
        text = atom["escaped"] or atom["extended"] or atom["literal"]
        made += atom["any"] or atom["set"] or re.escape(text)
        place = atom.end()
        if rest.startswith("*", place):
            made += "*"
            place += 1
            if rest.startswith("*", place):
                return None
    return re.compile(made + end) if rest.count("*") <= _STARS_MAX else None


def between(start: str, end: str, path: str, exists: str, missing: str) -> Lines | None:
    """The lines between those that hold ``start`` and ``end``; ``missing`` where nothing is at ``path``. ``exists`` is
    never the answer, because ``awk`` ends well for each file."""
    if not all(_is_plain(word, start="") for word in (exists, missing)):
        return None
    data = _searchable(path)
    if data is None:
        return [missing] if _is_missing(path) else None
    found: Lines = []
    inside = False
    for line in _lines(data):
        inside = inside and end not in line
        if inside:
            found.append(line)
        inside = inside or start in line
    return found


def _is_plain(word: str, start: str = "/") -> bool:
    return _PLAIN.fullmatch(word if start else f"/{word}") is not None


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return _is_plain(path)
    except (OSError, ValueError):
        return False
    return False


def _opened(path: str) -> FileIO:
    """The regular file at ``path``, opened. Raises FileNotFoundError where nothing is there, OSError for anything
    else."""
    if not _is_plain(path) or (path.startswith(_OWN_PROCESS) and path != "/proc/self/mountinfo"):
        raise OSError
    # Check it before opening: to open a device can have effects.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # a word of a command
        raise OSError
    file = FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError
    return file


def _content(path: str) -> bytes | None:
    try:
        with _opened(path) as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError:
        return None


def _searchable(path: str) -> bytes | None:
    """The content of a small file that is text in every locale; None for any other file, or where nothing is there."""
    if not os.path.exists(path):  # noqa: PTH110  # a word of a command
        return None
    data = _content(path)
    return data if data is not None and len(data) <= _SEARCHED_MAX and data.isascii() and b"\0" not in data else None


def _descend(folder: bytes, kind: str, found: list[bytes]) -> None:
    with os.scandir(folder) as entries:
        listed = list(entries)
    if len(listed) > _FOLDER_MAX:
        raise OSError
    for entry in listed:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder if kind == "d" else entry.is_symlink() if kind == "l" else entry.is_file(follow_symlinks=False):
            found.append(entry.path)
        if is_folder:
            _descend(entry.path, kind, found)


def _lines(data: bytes) -> Lines:
    lines = data.decode(errors="replace").split("\n")
    return lines if lines[-1] else lines[:-1]


def _name(entry_of: Callable[[int], pwd.struct_passwd | grp.struct_group], number: int) -> str:
    """The name of a user or a group; UNKNOWN, as stat prints, where it has none."""
    try:
        return entry_of(number)[0]
    except KeyError:
        return "UNKNOWN"
