"""A symbolic link: ``link:/etc/localtime``."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import replace

from agent.deploys.at_path import AtPath, Attributes, Owner, contains_only_links
from agent.deploys.files.path_kind import Whole, in_the_way, is_private, work_at
from agent.deploys.items import STABLE, Item
from agent.deploys.kind import ResourceState
from agent.deploys.place import OpenPlace, place_of
from agent.deploys.writing import put_file, put_link, remove_links
from agent.domain.ownership import LedgerEntry
from agent.domain.plan import WantedChange


class Link(Whole):
    """The kind ``link``."""

    def find(self, at: OpenPlace, item: Item) -> AtPath:
        found = at.look()
        if found.type == stat.S_IFDIR and item.links_into is not None:
            return replace(found, empty=contains_only_links(at.parent, at.name, item.links_into))
        return found

    def difference(self, item: Item, found: AtPath, owner: Owner) -> WantedChange | None:
        del owner
        if found.type == stat.S_IFLNK:
            words = f"point the link to {item.target} (was {found.target})"
            return WantedChange(item.key, words) if found.target != item.target else None
        if found.type == 0:
            return WantedChange(item.key, f"create link to {item.target}")
        if found.type == stat.S_IFREG or found.empty:
            words = f"put a link to {item.target} in place of {found.described}"
            return WantedChange(item.key, words, private=is_private(found))
        return in_the_way(item, found)

    def make(self, at: OpenPlace, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        del owner, content
        if item.links_into is not None and found.type == stat.S_IFDIR:
            remove_links(at.parent, at.name, item.links_into)
        return put_link(at.parent, at.name, item.target or "", backup=item.backup, batch=at.batch)

    def release(self, entry: LedgerEntry) -> None:
        """Put the file itself in place of a link to one of the copies that dotfiles make. The copy goes with its set,
        and a link to nothing would be all that is left of somebody's file."""
        home, _, path = entry.name.partition("/")
        place = place_of(self.path(entry.name)) if home.startswith("~") else None
        found = place.look() if place is not None else AtPath()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target or ""))
        if place is None or found.type != stat.S_IFLNK or not target.startswith(f"{STABLE}/"):
            return
        copied = place_of(self.path(f"{home}/{target}"))
        copy = copied.look() if copied is not None else AtPath()
        content, status = copy.content, copy.status
        if content is not None and status is not None and copy.type == stat.S_IFREG:
            attributes = Attributes(copy.mode, status.st_uid, status.st_gid)
            work_at(place, lambda at: put_file(at.parent, at.name, content, attributes, backup=False, batch=at.batch))

    def put_back(self, at: OpenPlace, before: ResourceState, image: bytes | None) -> None:
        del image
        put_link(at.parent, at.name, f"{before['target']}", backup=False, batch=at.batch)
