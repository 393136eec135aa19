"""A symbolic link: ``link:/etc/localtime``."""

from __future__ import annotations

import stat
from dataclasses import replace

from agent.deploys.at_path import AtPath, contains_only_links
from agent.deploys.files.path_kind import Whole, in_the_way, is_private
from agent.deploys.items import Item
from agent.deploys.kind import ResourceState
from agent.deploys.owners import Owner
from agent.deploys.place import OpenPlace
from agent.deploys.writing import put_link, remove_links
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

    def put_back(self, at: OpenPlace, before: ResourceState, image: bytes | None) -> None:
        del image
        put_link(at.parent, at.name, f"{before['target']}", backup=False, batch=at.batch)
