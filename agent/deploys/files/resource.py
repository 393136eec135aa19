"""Files, directories and links, and parts of files, outside of any deploy: looked at, taken away, given back.

    file:/etc/motd   directory:/srv/app   link:/etc/localtime   file:~ann/.bashrc   what is at a path
    block:/etc/hosts#lab                                                            lines between two markers
    line:/etc/hosts#10.0.0.1 a                                                      one line, word for word
    line:/etc/ssh/sshd_config#~^PermitRoot                                          one that may replace what it matches

Below ``~ann`` everything is done with the rights of ann alone, and no link is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import re
import stat
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from agent.deploys.at_path import AtPath, look
from agent.deploys.edits import REPLACING, BlockEdit, LineEdit, body, split
from agent.deploys.files.places import Place, Works, giving_of, place_of, state_of
from agent.deploys.kind import Kind, State, state_before
from agent.deploys.writing import Attributes, forget_backup, put_file, put_folder, put_link, remove, set_attributes
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError

_LINES_LIMIT = 1000
"""Lines that one may have taken the place of; a pattern that finds more is hardly meant to."""

_WORDS = {
    "sha256": "content",
    "mtime_ns": "content",
    "uid": "owner",
    "gid": "group",
    "acl": "ACL",
    "default_acl": "ACL",
}


class File(Kind):
    """State: ``type``, ``uid``, ``gid``, and ``mode`` of all but links; of a file its ``sha256`` (of one that is too
    large to be read ``size`` and ``mtime_ns``), of a link its ``target``. The image is a file's content."""

    calm = True

    def look(self, name: str) -> Seen | None:
        place = place_of(name)
        found = place.look() if place is not None else AtPath()
        return None if found.status is None else Seen(state_of(found), found.content)

    def changed(self, left: State, now: Seen) -> str:
        if left.get("type") != now.state["type"]:
            return f"it is a {now.state['type']} now"
        fields = [field for field in {**left, **now.state} if left.get(field) != now.state.get(field)]
        return ", ".join(dict.fromkeys(_WORDS.get(field, field) for field in fields))

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        """The deepest first."""
        del purge
        deepest_first = sorted(entries, key=lambda entry: entry.name.count("/"), reverse=True)
        works: dict[str, tuple[Place, Callable[[int, str], object]]] = {}

        def find(entry: LedgerEntry) -> None:
            if (place := place_of(entry.name)) is not None:
                works[entry.key] = place, partial(self._remove_unchanged, entry.left)

        misnamed = _reasons({entry.key: partial(find, entry) for entry in deepest_first})
        with Works(works) as removing:
            return misnamed | _reasons({key: partial(self._remove, works[key][0], removing, key) for key in works})

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        place = place_of(entry.name)
        if place is None:
            raise DeployError(f"{entry.key}: there is no such user any more")
        _put_back(place, state_before(entry), image)
        if place.look().status is not None:
            place.work(forget_backup)

    def _remove(self, place: Place, removing: Works, key: str) -> None:
        found = place.look()
        if found.status is None:
            return
        if found.type == stat.S_IFDIR and not found.empty:
            raise DeployError("it is not empty")
        if found.type == stat.S_IFDIR and _is_home(place):
            raise DeployError("it is somebody's home")
        removing.do(key)

    def _remove_unchanged(self, left: State | None, parent: int, name: str) -> None:
        """Looks again: between the first look and now a person may have written. What is empty by now, once blocks and
        lines have gone from it, holds nothing of anybody's."""
        found = look(parent, name)
        if found.status is None:
            return
        if left is not None and found.content != b"" and (reason := self.changed(left, Seen(state_of(found)))):
            raise DeployError(f"changed since: {reason}")
        remove(parent, name, backup=False)


class Folder(File):
    """A directory; what is in it may be somebody else's."""

    may_hold_others = True


class Part(Kind):
    """What is in a file whose other lines are not the agent's."""

    calm = True

    def look(self, name: str) -> Seen | None:
        path, _, part = name.partition("#")
        place = place_of(path)
        found = place.look() if place is not None else AtPath()
        if found.type == stat.S_IFREG and found.content is None:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return self.seen(part, _text(found))

    @abstractmethod
    def seen(self, part: str, text: str) -> Seen | None:
        """``part`` in a file's text."""

    @abstractmethod
    def without(self, part: str, text: str) -> str: ...

    @abstractmethod
    def changed(self, left: State, now: Seen) -> str: ...

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        del purge
        return _reasons({entry.key: partial(self._remove, entry) for entry in entries})

    def _remove(self, entry: LedgerEntry) -> None:
        path, _, part = entry.name.partition("#")

        def unchanged(text: str) -> str:
            now = self.seen(part, text)
            if now is None:
                return text
            if entry.left is not None and (reason := self.changed(entry.left, now)):
                raise DeployError(f"changed since: {reason}")
            return self.without(part, text)

        _edit(path, unchanged)


class MarkedBlock(Part):
    """State: ``sha256`` of its lines with their markers, which are also the image."""

    def seen(self, part: str, text: str) -> Seen | None:
        block = BlockEdit(part, None).found(text).encode(errors="surrogateescape")
        return Seen({"sha256": hashlib.sha256(block).hexdigest()}, block) if block else None

    def changed(self, left: State, now: Seen) -> str:
        return "" if left == now.state else "content"

    def without(self, part: str, text: str) -> str:
        block = BlockEdit(part, None)
        return block.apply(text) if block.found(text) else text

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if image is None:
            raise DeployError(f"{entry.key}: what was in it was not kept")
        lines = image.decode(errors="surrogateescape")
        _edit(path, lambda text: _ended(self.without(part, text)) + lines)


class OneLine(Part):
    """State of a line word for word: itself, under ``line``. Of one that may take the place of others, what its
    pattern finds: ``sha256`` of those lines, which are also the image, and ``at``, which lines of the file they are,
    from 0."""

    def seen(self, part: str, text: str) -> Seen | None:
        lines = split(text)
        mine = _found_in(lines, part)
        if not mine:
            return None
        if not part.startswith(REPLACING):
            return Seen({"line": part})
        if len(mine) > _LINES_LIMIT:
            raise OSError(errno.EFBIG, f"its pattern finds {len(mine)} lines")
        image = "".join(lines[number] for number in mine).encode(errors="surrogateescape")
        return Seen({"sha256": hashlib.sha256(image).hexdigest(), "at": list(mine)}, image)

    def changed(self, left: State, now: Seen) -> str:
        """Nobody can change a line that is known by what it says."""
        return "" if left.get("sha256") == now.state.get("sha256") else "content"

    def without(self, part: str, text: str) -> str:
        lines = split(text)
        gone = set(_found_in(lines, part))
        return "".join(line for number, line in enumerate(lines) if number not in gone)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        if not part.startswith(REPLACING):
            _edit(path, LineEdit(part, None).apply)
            return
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: the lines that it replaced were not kept")
        were = split(image.decode(errors="surrogateescape"))
        _edit(path, partial(self._with, part, were, cast("Sequence[int]", before["at"])))

    def _with(self, part: str, were: Sequence[str], at: Sequence[int], text: str) -> str:
        """The lines that ``were`` there in place of those that are; where there is none, at their old numbers."""
        there = _found_in(split(text), part)
        moved = there[0] - at[0] if there else 0
        lines = split(self.without(part, text))
        for number, line in zip(at, were, strict=True):
            lines.insert(number + moved, line)
        return "".join(lines)


def _found_in(lines: Sequence[str], part: str) -> list[int]:
    """The numbers of the lines that the ``part`` of a key means."""
    if not part.startswith(REPLACING):
        return [number for number, line in enumerate(lines) if body(line) == body(part)]
    pattern = re.compile(part.removeprefix(REPLACING))
    return [number for number, line in enumerate(lines) if pattern.search(body(line))]


def _put_back(place: Place, before: State, image: bytes | None) -> None:
    """What was at a path, as it was. Raises DeployError."""
    found = place.look()
    if found.status is not None and state_of(found) == before:
        return
    kind, target = before.get("type"), before.get("target")
    mode, uid, gid = (cast("int", before.get(field, 0)) for field in ("mode", "uid", "gid"))
    attributes = Attributes(mode, uid, gid, giving_of(before))
    if kind == "nothing":
        if found.status is not None:
            place.work(partial(remove, backup=False))
    elif kind == "link":
        place.work(partial(put_link, target=f"{target}", backup=False))
    elif kind == "directory":
        there = found.type == stat.S_IFDIR
        place.work(partial(set_attributes if there else partial(put_folder, backup=False), attributes=attributes))
    elif kind == "file" and image is not None:
        place.work(partial(put_file, content=image, attributes=attributes, backup=False))
    elif kind == "file" and found.type == stat.S_IFREG and state_of(found).get("sha256") == before.get("sha256"):
        place.work(partial(set_attributes, attributes=attributes))
    else:
        raise DeployError(f"{place.path}: what was there was not kept: {_why_not_kept(kind)}")


def _why_not_kept(kind: JSON) -> str:
    return "the file was too large" if kind == "file" else f"it was a {kind}"


def _edit(path: str, edit: Callable[[str], str]) -> None:
    """A file with another text and everything else as it was; one that is not there stays so. Raises DeployError."""
    place = place_of(path)
    found = place.look() if place is not None else AtPath()
    if place is None or found.status is None or found.content is None:
        return
    before = found.content.decode(errors="surrogateescape")
    after = edit(before)
    if after != before:
        attributes = Attributes(found.mode, found.status.st_uid, found.status.st_gid, found.giving)
        content = after.encode(errors="surrogateescape")
        place.work(partial(put_file, content=content, attributes=attributes, backup=False))
        place.work(forget_backup)


def _reasons(removals: Mapping[str, Callable[[], None]]) -> dict[str, str]:
    """By key, why some could not be removed, and the way out: none keeps the others."""
    stayed: dict[str, str] = {}
    for key, remove_it in removals.items():
        try:
            remove_it()
        except DeployError as error:
            stayed[key] = f"{error.message}; {error.hint}" if error.hint else error.message
        except OSError as error:
            stayed[key] = f"it cannot be looked at: {error.strerror or error}"
    return stayed


def _text(found: AtPath) -> str:
    return (found.content or b"").decode(errors="surrogateescape")


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _is_home(place: Place) -> bool:
    path = f"{place.base.path.rstrip('/')}/{place.path}"
    return any(user.pw_dir.rstrip("/") == path for user in pwd.getpwall())
