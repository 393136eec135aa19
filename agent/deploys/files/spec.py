"""files: what an inventory may want at paths of the system.

- files:
    /etc/motd: {content: "hello\n"}
    /etc/app/app.conf: {source: files/app.conf, mode: "0640", group: app}
    /etc/app/conf.d: {tree: files/conf.d}
    /etc/hosts: {block: "10.0.0.1 a\n", name: lab}
    /etc/ssh/sshd_config: {lines: {root: {line: PermitRootLogin no, match: "^#?PermitRootLogin "}}}
    /etc/old: {absent: true}
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Self

from pydantic import ConfigDict, model_validator

from agent.deploys.edits import contains_marker
from agent.deploys.files.entry import FileEntry
from agent.deploys.items import (
    EXECUTABLE_MODE,
    FILE_MODE,
    FOLDER_MODE,
    Item,
    concrete_items,
    misplaced,
    parents,
    require_private,
)
from agent.deploys.spec import Concrete, Sources, Spec, entry_named, require_content, text_of, united
from agent.domain.desired import Resource
from agent.domain.digest import JSON
from agent.domain.fault import Fault, Mistake
from agent.domain.tree import below, nearest_path

PRIVATE_FILE = "private-file"
"""The kind of the claim on a file with a secret part. All parts of the file belong in one deploy: the first deploy that
has one makes the file, and has to know that others may not read it."""


class FilesSpec(Spec):
    """The entries by path: absolute, without `.`, `..`, double or trailing slashes."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={"propertyNames": {"pattern": r"^(/(?!\.{1,2}(/|$))[^/\x00-\x1f]+)+$"}},
    )

    kind: ClassVar[str] = "files"

    __pydantic_extra__: dict[str, FileEntry]

    @model_validator(mode="after")
    def _paths(self) -> Self:
        complaints = [complaint for path, entry in self.entries.items() if (complaint := _complaint(path, entry))]
        if complaints:
            raise Mistake.of(complaints)
        return self

    @property
    def entries(self) -> dict[str, FileEntry]:
        """The entries by path."""
        return self.__pydantic_extra__

    @classmethod
    def exposed(cls, arguments: Mapping[str, JSON]) -> JSON:
        del arguments  # ``require_private`` judges each item
        return None

    def merged(self, later: Self) -> Self:
        return type(self)(**united(self.entries, later.entries))

    def concrete(self, sources: Sources) -> Concrete:
        wanted = _Items(sources).of(self.entries)
        items, resources = concrete_items(wanted)
        private = sorted({item.path for item in wanted if item.secret and item.part is not None})
        claims = tuple(Resource(f"{PRIVATE_FILE}:{path}", "") for path in private)
        return Concrete({"items": items}, resources, claims)


class _Items:
    """A builder of items from entries. It gathers all complaints before it raises them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._faults: list[Fault] = []

    def of(self, entries: dict[str, FileEntry]) -> list[Item]:
        """All items, sorted by path. Raises InventoryError."""
        wholes: dict[str, Item] = {}
        for path, entry in entries.items():
            if entry.tree is not None:
                wholes |= {item.path: item for item in self._tree(path, entry, entry.tree)}
        edits: list[Item] = []
        for path, entry in entries.items():  # after the trees: an entry for the very path counts more
            if parts := entry.parts(path):
                edits += parts
            elif entry.tree is None and (item := self._whole(path, entry)):
                wholes[path] = item
        for item in edits:
            if item.path in wholes:
                problem = f"{item.path} is a whole file in a tree, so it has no lines or blocks to edit"
                self._faults.append(Fault(problem, "write the line into that file", (item.path,)))
            if contains_marker(item.text):
                problem = f"a {item.kind} of {item.path} holds a marker of a block, BEGIN or END hostwright"
                self._faults.append(Fault(problem, "leave that line out: the agent writes the markers", (item.path,)))
        private = {item.path for item in edits if item.secret}
        edits = [replace(item, secret=True) if item.path in private else item for item in edits]
        self._faults += _faults_of_writable_folders(private, wholes)
        items = [*wholes.values(), *edits]
        for item, above, what in misplaced(items, wholes):
            problem = f"{item.path} lies in {above.path}, which is to be {what}"
            self._faults.append(Fault(problem, "leave one of the two out", (above.path,)))
        folders = {path for item in items if not item.absent for path in parents(item.path)}
        items += [Item(path=path, kind="directory") for path in folders - wholes.keys()]
        for item in items:
            try:
                require_private(item, (item.path,))
            except Mistake as mistake:
                self._faults += mistake.faults
        if self._faults:
            raise Mistake.of(self._faults)
        return sorted(items, key=lambda item: (item.path, "" if item.part is not None else item.key))

    def _whole(self, path: str, entry: FileEntry) -> Item | None:
        if entry.absent:
            return Item(path=path, kind="file", absent=True, backup=entry.backup)
        if entry.link is not None:
            return Item(path=path, kind="link", target=entry.link, backup=entry.backup)
        if entry.directory:
            mode = _mode(entry, FOLDER_MODE)
            return Item(path=path, kind="directory", mode=mode, **entry.attributes)
        file = Item(path=path, kind="file", text=entry.content, mode=_mode(entry, FILE_MODE), **entry.attributes)
        file = replace(file, capabilities=tuple(sorted(set(entry.capabilities))))
        try:
            return file if entry.content is not None else self._from_repo(file, entry)
        except Mistake as mistake:
            self._faults += mistake.faults
            return None

    def _from_repo(self, item: Item, entry: FileEntry) -> Item:
        field, origin = ("source", entry.source) if entry.source is not None else ("template", entry.template or "")
        found = entry_named(self._sources.tree, origin, (item.path, field))
        item = replace(item, mode=_mode(entry, EXECUTABLE_MODE if found.executable else FILE_MODE))
        if entry.source is not None:
            return replace(item, source=found.path, blob=found.blob)
        return replace(item, text=text_of(origin, (item.path, field), self._sources, template=True))

    def _tree(self, path: str, entry: FileEntry, folder: str) -> Iterator[Item]:
        files = below(self._sources.tree, folder)
        if not files:
            near = nearest_path(self._sources.tree, folder)
            remedy = f"did you mean {near}?" if near else "name one with files in it; paths count from the top"
            self._faults.append(Fault(f"there is no folder {folder} in the config repo", remedy, (path, "tree")))
            return
        folders = {path}
        for relative, file in files.items():
            try:
                require_content(self._sources.tree, file, (path, "tree"))
            except Mistake as mistake:
                self._faults += mistake.faults
            target = posixpath.join(path, relative)
            folders.update(posixpath.join(path, parent) for parent in parents(relative))
            if file.link:
                link = self._sources.tree.read(file.path).decode(errors="surrogateescape")
                yield Item(path=target, kind="link", target=link, backup=entry.backup)
            else:
                mode = _mode(entry, EXECUTABLE_MODE if file.executable else FILE_MODE)
                item = Item(path=target, kind="file", mode=mode, **entry.attributes)
                yield replace(item, source=file.path, blob=file.blob)
        for name in folders:
            item = Item(path=name, kind="directory", **entry.attributes)
            yield replace(item, backup=False, validate=())


def _mode(entry: FileEntry, default: int) -> int:
    return default if entry.mode is None else int(entry.mode, 8)


def _faults_of_writable_folders(private: Iterable[str], wholes: Mapping[str, Item]) -> Iterator[Fault]:
    """Complaints about folders in which the host would refuse to write ``private`` files, those with a secret part."""
    for path in sorted(private):
        folder = next((wholes[each] for each in parents(path) if each in wholes), None)
        if folder is None or folder.kind != "directory":
            continue
        writable = folder.path == parents(path)[0] and (folder.mode or 0) & 0o022
        if writable or folder.owner not in ("root", "0"):
            problem = f"a part of {path} is secret, and others than root may write to {folder.path}"
            yield Fault(problem, "keep that folder root's, or write the whole file with its `owner`", (path,))


def _complaint(path: str, entry: FileEntry) -> Fault | None:
    """The fault of a path, or None."""
    if not path.startswith("/"):
        remedy = "write the whole path, such as '/home/ann/…'" if path.startswith("~") else f"write {'/' + path!r}"
        return Fault(f"{path!r} is not an absolute path", remedy, (path,))
    if path == "/":
        return Fault("/ itself is nothing that can be made", "name what is to be in it", (path,))
    if posixpath.normpath(path) != path or path.startswith("//"):
        return Fault(
            f"{path!r} goes a roundabout way", f"write {posixpath.normpath('/' + path.lstrip('/'))!r}", (path,)
        )
    if any(ord(character) < 32 for character in path):
        return Fault(f"{path!r} holds a control character", "leave it out", (path,))
    if "#" in path and entry.has_parts:
        problem = f"lines and blocks of a file with # in its name cannot be told apart: {path!r}"
        return Fault(problem, "write the whole file", (path,))
    return None
