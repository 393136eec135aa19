"""Layout chezmoi: a set is a source directory of chezmoi, whose file names say what is to become of them.

The names are read as chezmoi's reference has it ("Source state attributes", "Special files"). Files that need chezmoi
itself (Go templates, scripts, externals, encryption) are refused by name, never guessed at.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import product
from math import prod

from agent.deploys.dotfiles.contents import ENCRYPTED, IGNORE, TEMPLATE, Contents, Leaf, SetFiles
from agent.deploys.items import FILE_MODE, FOLDER_MODE, Policy, parents
from agent.domain.fault import Fault, Mistake
from agent.domain.tree import blob_id

SPECIAL = ".chezmoi"
ROOT = ".chezmoiroot"
IGNORED = ".chezmoiignore"

FOLDER_PREFIXES = ("remove_", "external_", "exact_", "private_", "readonly_")
FILE_PREFIXES = ("encrypted_", "private_", "readonly_", "empty_", "executable_")
TYPES: Mapping[str, tuple[str, ...]] = {
    "create_": FILE_PREFIXES,
    "modify_": (),
    "remove_": (),
    "run_": (),
    "symlink_": (),
    "": FILE_PREFIXES,
}
"""The attributes that may follow the prefix for each type of file, in this order. A refused type needs none."""

GO_TEMPLATE = ".tmpl"
LITERAL = ".literal"

_REFUSED_FILES: Mapping[str, str] = {
    "modify_": "is a script that changes a file: use a `files` deploy with lines or blocks",
    "run_": "is a script: use a deploy for what it does",
}
_REFUSED_FOLDERS: Mapping[str, str] = {
    "exact_": "would remove whatever else is in the folder: rename it without exact_",
    "external_": "is a folder of files that somebody else names: rename it without external_",
    "readonly_": "is a folder that its owner could not write to: rename it without readonly_",
    "remove_": "would remove a folder: use a `files` deploy",
}
_REFUSED_SPECIAL: Mapping[str, str] = {
    f"{IGNORED}{GO_TEMPLATE}": f"is a Go template: rename it to {IGNORED}, with plain patterns",
    ".chezmoiremove": "removes by pattern: name the files remove_…",
    ".chezmoiexternal": "fetches from elsewhere: use a deploy for it",
    ".chezmoiscripts": "holds scripts: use a deploy for what they do",
}
"""The complaints, by the beginning of the name. Other special files are for chezmoi's templates and configuration, and
are not read."""

_EMPTY = blob_id(b"")
_PATTERNS_LIMIT = 1000
"""The most patterns that one line with braces may stand for."""


@dataclass(frozen=True, slots=True)
class SourceName:
    """A name in the source, taken apart: the name in the home, the type (a key of ``TYPES``) and the attributes."""

    target: str
    type: str = ""
    attributes: frozenset[str] = field(default_factory=frozenset)
    go_template: bool = False
    template: bool = False

    @property
    def mode(self) -> int:
        mode = FILE_MODE | (0o111 if "executable_" in self.attributes else 0)
        mode &= ~0o222 if "readonly_" in self.attributes else ~0
        return mode & (0o700 if "private_" in self.attributes else 0o777)


def folder_name(name: str) -> SourceName:
    left, attributes = _prefixes(name, FOLDER_PREFIXES)
    return SourceName(_undotted(left), attributes=attributes)


def file_name(name: str) -> SourceName:
    kind = next(kind for kind in TYPES if name.startswith(kind))
    left, attributes = _prefixes(name.removeprefix(kind), TYPES[kind])
    if "encrypted_" in attributes:
        left = left.removesuffix(ENCRYPTED)
    left = _undotted(left)
    go_template, template = left.endswith(GO_TEMPLATE), left.endswith(TEMPLATE)
    left = left.removesuffix(GO_TEMPLATE if go_template else TEMPLATE).removesuffix(LITERAL)
    return SourceName(left, kind, attributes, go_template, template)


def _prefixes(name: str, prefixes: tuple[str, ...]) -> tuple[str, frozenset[str]]:
    found = set()
    for prefix in prefixes:
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            found.add(prefix)
    return name, frozenset(found)


def _undotted(name: str) -> str:
    return f".{name.removeprefix('dot_')}" if name.startswith("dot_") else name.removeprefix("literal_")


def read(files: SetFiles) -> Contents:
    """The contents of a source directory. Raises Mistake with everything that only chezmoi itself could do."""
    source = _Source(_rooted(files))
    contents = source.contents()
    if source.faults:
        raise Mistake.of(source.faults)
    return contents


def _rooted(files: SetFiles) -> SetFiles:
    """The files below the folder that ``.chezmoiroot`` names; all files without one. Raises Mistake if that folder has
    no files."""
    if ROOT not in files.entries:
        return files
    folder = files.text(files.entries[ROOT]).strip()
    below = {
        path.removeprefix(f"{folder}/"): entry
        for path, entry in files.entries.items()
        if folder and path.startswith(f"{folder}/")
    }
    if not below:
        raise Mistake(
            f"{files.name}/{ROOT} names the folder {folder!r}, and there is none", "name one with files in it"
        )
    return replace(files, name=f"{files.name}/{folder}", entries=below)


class _Source:
    def __init__(self, files: SetFiles) -> None:
        self._files = files
        self.faults: list[Fault] = []

    def contents(self) -> Contents:
        ignoring = [(one.split("/"), back) for pattern, back in self._patterns() for one in _without_braces(pattern)]
        leaves: list[Leaf] = []
        folders: dict[str, int | None] = {}
        for path in self._files.entries:
            if self._is_special(path) or _is_ignored(_home_path(path), ignoring):
                continue
            for parent in parents(path):
                name = folder_name(posixpath.basename(parent))
                self._judge(parent, name, _REFUSED_FOLDERS)
                folders[_home_folder(parent)] = FOLDER_MODE & 0o700 if "private_" in name.attributes else None
            if not posixpath.basename(path).startswith("."):
                leaves += self._leaf(path)
        return Contents(tuple(leaves), folders)

    def _is_special(self, path: str) -> bool:
        """True for chezmoi's own files, and for files in a folder that begins with a dot. A file such as ``.keep`` is
        not special: its folder counts."""
        parts = path.split("/")
        for part in parts:
            if part.startswith(SPECIAL):
                why = next((why for name, why in _REFUSED_SPECIAL.items() if part.startswith(name)), None)
                if why:
                    self._complain(path, why)
                return True
        return any(part.startswith(".") for part in parts[:-1])

    def _judge(self, path: str, name: SourceName, refused: Mapping[str, str]) -> None:
        for why in (refused[prefix] for prefix in (name.type, *name.attributes) if prefix in refused):
            self._complain(path, why)
        if name.target in ("", ".", ".."):
            self._complain(path, f"would be called {name.target!r}, which is no name")

    def _leaf(self, path: str) -> Iterator[Leaf]:
        name = file_name(posixpath.basename(path))
        entry = self._files.entries[path]
        before = len(self.faults)
        self._judge(path, name, _REFUSED_FILES)
        if name.go_template:
            renamed = path.removesuffix(GO_TEMPLATE) + TEMPLATE
            self._complain(path, f"is a Go template: rename it to {renamed} and write it in Jinja2")
        if entry.link:
            self._complain(path, "is a link: chezmoi's are files named symlink_…, that hold the target")
        if len(self.faults) > before:
            return
        leaf = Leaf(path=_home_path(path), origin=_home_path(path), entry=entry, mode=name.mode)
        if name.type == "symlink_":
            yield replace(leaf, target=self._target(path))
        elif name.type == "remove_" or (entry.blob == _EMPTY and not name.type and "empty_" not in name.attributes):
            yield replace(leaf, absent=True)
        else:
            policy = Policy.KEEP if name.type == "create_" else Policy.OVERWRITE
            sealed = "encrypted_" in name.attributes
            mode = leaf.mode & (0o700 if sealed else 0o777)
            yield replace(leaf, template=name.template, sealed=sealed, mode=mode, policy=policy)

    def _target(self, path: str) -> str:
        target = self._files.text(self._files.entries[path]).strip()
        if not target or "\0" in target:
            self._complain(path, "holds no target of a link")
        return target

    def _patterns(self) -> Iterator[tuple[str, bool]]:
        """Patterns of all ignore files, relative to the home, each with True if it takes back what others ignore."""
        for path in self._files.entries:
            if posixpath.basename(path) != IGNORED:
                continue
            folder = posixpath.dirname(path)
            text = self._files.text(self._files.entries[path])
            if "{{" in text:
                self._complain(path, "is a Go template: write it with plain patterns")
                continue
            for line in text.splitlines():
                pattern = re.sub(r"(^|\s)#.*", "", line).strip()
                if pattern:
                    plain = pattern.removeprefix("!").rstrip("/")
                    yield posixpath.join(_home_folder(folder), plain), pattern[0] == "!"

    def _complain(self, path: str, why: str) -> None:
        self.faults.append(Fault(f"{self._files.name}/{path} {why}", f"or {IGNORE}"))


def _home_folder(path: str) -> str:
    return "/".join(folder_name(part).target for part in path.split("/"))


def _home_path(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return posixpath.join(_home_folder(folder), file_name(name).target)


def _is_ignored(path: str, patterns: Sequence[tuple[list[str], bool]]) -> bool:
    """True if a path of the home, or a folder above it, is ignored. Patterns are those of Go's doublestar, in parts,
    each with True if it takes back what others ignore."""
    for above in (*parents(path), path):
        matching = [back for pattern, back in patterns if _match(above.split("/"), pattern)]
        if matching and not any(matching):
            return True
    return False


def _match(path: list[str], pattern: list[str]) -> bool:
    """True if the parts of a pattern match the whole path; ``**`` is any number of folders. Goes row by row, so that no
    pattern takes long."""
    row = [True] + [False] * len(path)
    for part in pattern:
        if part == "**":
            reached = False
            row = [reached := reached or here for here in row]
        else:
            row = [False, *(here and _match_name(name, part) for here, name in zip(row, path, strict=False))]
    return row[-1]


def _match_name(name: str, pattern: str) -> bool:
    pattern = pattern.replace("[^", "[!")
    return fnmatchcase(name, re.sub(r"\\(.)", lambda one: f"[{one[1]}]" if one[1] in "*?[" else one[1], pattern))


def _without_braces(pattern: str) -> Iterator[str]:
    """The patterns that one with braces stands for: ``ab`` and ``ac`` for ``a{b,c}``. Raises Mistake if they are too
    many."""
    found = enumerate(re.split(r"\{([^{}]*)\}", pattern))  # every second part stood between braces
    parts = [part.split(",") if number % 2 else [part] for number, part in found]
    if prod(map(len, parts)) > _PATTERNS_LIMIT:
        raise Mistake(
            f"{IGNORED}: {pattern[:100]!r} stands for more than {_PATTERNS_LIMIT} patterns", "write fewer braces"
        )
    return ("".join(one) for one in product(*parts))
