"""What is wrong with one path: an item and what was found there turned into a difference in words. Pure."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from agent.deploys.at_path import CONTENT_LIMIT, AtPath, leads_into
from agent.deploys.edits import REPLACING
from agent.deploys.items import FILE_MODE, FOLDER_MODE, Item, ItemType, Policy
from agent.domain.tree import blob_id
from agent.system.attributes import ACCESS, CAPABILITY, DEFAULT, acl_words, capability_words, packed_capabilities

DIFF_LIMIT = 64 * 1024
"""Characters of a diff that are kept; who needs more of it looks at the files."""

TEXT_LIMIT = 256 * 1024
"""Bytes of a text that is compared line by line; comparing takes long for more, and nobody reads it."""

_OTHERS_MAY_READ = stat.S_IROTH


@dataclass(frozen=True, slots=True)
class Difference:
    """``operation`` says in a few words what would happen. ``blocked``: it will not, and says why.
    ``private``: the file that is wanted or was found is not for everybody to read."""

    operation: str
    diff: str | None = None
    private: bool = False
    blocked: bool = False


class Accounts(Protocol):
    """The host's users and groups. None for those that do not exist (yet)."""

    def uid(self, owner: str) -> int | None: ...

    def gid(self, owner: str, group: str | None) -> int | None: ...

    def named(self, uid: int, gid: int) -> str:
        """``ann:users``"""
        ...


def compare(item: Item, found: AtPath, content: Callable[[], bytes], accounts: Accounts) -> Difference | None:
    """None where all is as it should be. ``content`` gives what a file should hold; asked for only where needed."""
    match item.kind:
        case ItemType.FILE:
            difference = _compare_file(item, found, content, accounts)
        case ItemType.DIRECTORY:
            difference = _compare_directory(item, found, accounts)
        case ItemType.LINK:
            difference = _compare_link(item, found)
        case ItemType.EDIT:
            difference = _compare_edit(item, found)
        case ItemType.ABSENT:
            difference = _compare_absent(item, found)
    if difference is None or found.status is None:
        return difference
    if item.policy is Policy.KEEP:
        return None
    if item.policy is Policy.FAIL:
        return replace(difference, operation=f"differs, and its policy is fail: {difference.operation}", blocked=True)
    return difference


def holds(item: Item, content: bytes | None) -> bool:
    """Whether this is what the file should hold."""
    if content is None:
        return False
    return content == item.text.encode() if item.text is not None else blob_id(content) == item.blob


def giving(item: Item, found: AtPath) -> Mapping[str, bytes]:
    """The ACLs and capabilities that a file or a folder should have: capabilities as the item says, no ACL, unless the
    item leaves those that are there."""
    wanted = {name: found.giving[name] for name in (ACCESS, DEFAULT) if item.keep_acl and name in found.giving}
    return wanted | ({CAPABILITY: packed_capabilities(item.capabilities)} if item.capabilities else {})


def edited(item: Item, content: bytes | None) -> bytes:
    """A file's content after the item's edit; bytes that are no UTF-8 pass through unharmed."""
    assert item.edit is not None
    text = (content or b"").decode(errors="surrogateescape")
    return item.edit.apply(text).encode(errors="surrogateescape")


def _compare_file(item: Item, found: AtPath, content: Callable[[], bytes], accounts: Accounts) -> Difference | None:
    assert item.mode is not None
    private = not item.mode & _OTHERS_MAY_READ or _is_private(found)
    if found.type == stat.S_IFREG:
        changes = _attribute_changes(item, found, accounts)
        if holds(item, found.content):
            return Difference(", ".join(changes), private=private) if changes else None
        operation = ", ".join(["write content", *changes])
    elif found.type == 0:
        operation = f"create file, {_attributes(item, accounts)}"
    elif found.type == stat.S_IFLNK or found.empty:
        operation = f"put a file in place of {_described(found)}, {_attributes(item, accounts)}"
    else:
        return _in_the_way(found, "file")
    before = found.content if found.type == stat.S_IFREG else b""
    return Difference(operation, unified(item.path, before, content()), private)


def _compare_directory(item: Item, found: AtPath, accounts: Accounts) -> Difference | None:
    if found.type == stat.S_IFDIR:
        changes = _attribute_changes(item, found, accounts) if item.mode is not None else []
        return Difference(", ".join(changes)) if changes else None
    if found.type == 0:
        return Difference(f"create directory, {_attributes(item, accounts)}")
    own = item.links_into is not None and leads_into(found.target, item.links_into)
    if own or (found.type == stat.S_IFREG and item.mode is not None):
        return Difference(f"put a directory in place of {_described(found)}, {_attributes(item, accounts)}")
    return _in_the_way(found, "directory")


def _compare_link(item: Item, found: AtPath) -> Difference | None:
    if found.type == stat.S_IFLNK:
        if found.target == item.target:
            return None
        return Difference(f"point the link to {item.target} (was {found.target})")
    if found.type == 0:
        return Difference(f"create link to {item.target}")
    if found.type == stat.S_IFREG or found.empty:
        return Difference(f"put a link to {item.target} in place of {_described(found)}", private=_is_private(found))
    return _in_the_way(found, "link")


def _compare_edit(item: Item, found: AtPath) -> Difference | None:
    name = item.key.partition("#")[2].removeprefix(REPLACING)
    if found.type not in (0, stat.S_IFREG):
        hint = "; name the file that it leads to" if found.type == stat.S_IFLNK else ""
        return Difference(f"cannot edit {_described(found)}{hint}", blocked=True)
    if found.status is not None and found.content is None:
        return Difference("cannot edit a file of this size", blocked=True)
    after = edited(item, found.content)
    if after == (found.content or b""):
        return None
    operation = f"edit {name}" if found.status else f"create file with {name}"
    return Difference(operation, unified(item.path, found.content or b"", after), _is_private(found))


def _compare_absent(item: Item, found: AtPath) -> Difference | None:
    if found.type == 0:
        return None
    if found.type == stat.S_IFDIR and not found.empty:
        return Difference("cannot remove a directory that is not empty; empty it or leave it", blocked=True)
    diff = unified(item.path, found.content, b"") if found.type == stat.S_IFREG else None
    return Difference(f"remove {_described(found)}", diff, _is_private(found))


def _in_the_way(found: AtPath, wanted: str) -> Difference:
    return Difference(f"{_described(found)} is in the way of a {wanted}; move it away", blocked=True)


def _described(found: AtPath) -> str:
    if found.type == stat.S_IFLNK:
        return f"a link to {found.target}"
    if found.type == stat.S_IFDIR:
        return "an empty directory" if found.empty else "a directory that is not empty"
    return found.name


def _is_private(found: AtPath) -> bool:
    return found.type == stat.S_IFREG and not found.mode & _OTHERS_MAY_READ


def _attributes(item: Item, accounts: Accounts) -> str:
    default = FOLDER_MODE if item.kind is ItemType.DIRECTORY else FILE_MODE
    mode = default if item.mode is None else item.mode
    capabilities = f", capabilities {' '.join(item.capabilities)}" if item.capabilities else ""
    return f"mode {mode:04o}, owner {_owner(item, accounts)}{capabilities}"


def _attribute_changes(item: Item, found: AtPath, accounts: Accounts) -> list[str]:
    assert item.mode is not None
    assert found.status is not None
    changes = []
    if found.mode != item.mode:
        changes.append(f"set mode {item.mode:04o} (was {found.mode:04o})")
    has = (found.status.st_uid, found.status.st_gid)
    if has != (accounts.uid(item.owner), accounts.gid(item.owner, item.group)):
        changes.append(f"set owner {_owner(item, accounts)} (was {accounts.named(*has)})")
    return [*changes, *_giving_changes(found.giving, giving(item, found))]


def _giving_changes(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> Iterator[str]:
    for name, what in ((ACCESS, "ACL"), (DEFAULT, "default ACL")):
        if found.get(name) != wanted.get(name):
            yield f"remove {what}: {acl_words(found[name])}"
    before, after = found.get(CAPABILITY), wanted.get(CAPABILITY)
    if before != after:
        had = capability_words(before) if before is not None else "none"
        yield f"set capabilities {capability_words(after)} (had {had})" if after else f"remove capabilities: {had}"


def _owner(item: Item, accounts: Accounts) -> str:
    uid, gid = accounts.uid(item.owner), accounts.gid(item.owner, item.group)
    if uid is None:
        return f"{item.owner}, who does not exist yet"
    if gid is None:
        return f"{item.owner}:{item.group}, a group that does not exist yet"
    return accounts.named(uid, gid)


def unified(path: str, before: bytes | None, after: bytes) -> str:
    """A unified diff of at most about ``DIFF_LIMIT`` characters; sizes only for what is no text, or a large one.
    ``before`` is None where it was too large to be read."""
    if before is None:
        return f"more than {CONTENT_LIMIT} → {len(after)} bytes\n"
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"binary, {len(before)} → {len(after)} bytes\n"
    if max(len(before), len(after)) > TEXT_LIMIT:
        return f"text, {len(before)} → {len(after)} bytes\n"
    text = ""
    for line in difflib.unified_diff(old, new, f"{path} (found)", f"{path} (wanted)"):
        text += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if len(text) > DIFF_LIMIT:
            return f"{text[:DIFF_LIMIT]}\n… (cut at {DIFF_LIMIT} characters)\n"
    return text


def _lines(content: bytes) -> list[str] | None:
    if b"\0" in content:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
