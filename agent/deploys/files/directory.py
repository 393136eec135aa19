"""A directory: ``directory:/srv/app``. The things in it are left alone."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from agent.deploys.at_path import AtPath, Owner, leads_into
from agent.deploys.files.path_kind import Whole, attributes_of, giving, in_the_way
from agent.deploys.items import FOLDER_MODE, Item
from agent.deploys.kind import ResourceState
from agent.deploys.place import OpenPlace
from agent.deploys.writing import put_folder, set_attributes
from agent.domain.plan import WantedChange
from agent.system.safe_open import UnsafePath


class Directory(Whole):
    """The kind ``directory``."""

    default_mode = FOLDER_MODE
    in_place = stat.S_IFDIR
    may_hold_others = True

    def find(self, at: OpenPlace, item: Item) -> AtPath:
        found = at.look()
        if found.type == stat.S_IFLNK and item.is_parent:
            # A mere parent may be a link that is allowed to be followed, such as /var/run.
            with suppress(UnsafePath, OSError), at.base.folder(at.start, at.path) as descriptor:
                return AtPath(os.fstat(descriptor))
        return found

    def difference(self, item: Item, found: AtPath, owner: Owner) -> WantedChange | None:
        if found.type == stat.S_IFDIR:
            changes = [] if item.is_parent else self.attribute_changes(item, found, owner)
            return WantedChange(item.key, ", ".join(changes)) if changes else None
        if found.type == 0:
            return WantedChange(item.key, f"create directory, {self.described(item, owner)}")
        own = item.links_into is not None and leads_into(found.target, item.links_into)
        if own or (found.type == stat.S_IFREG and not item.is_parent):
            words = f"put a directory in place of {found.described}, {self.described(item, owner)}"
            return WantedChange(item.key, words)
        return in_the_way(item, found)

    def make(self, at: OpenPlace, item: Item, found: AtPath, owner: Owner, content: bytes | None) -> str:
        del content
        mode = self.wanted_mode(item)
        if found.type != stat.S_IFDIR:
            return put_folder(at.parent, at.name, owner.attributes(item.path, mode), backup=item.backup, batch=at.batch)
        attributes = owner.attributes(item.path, mode, giving(item, found))
        set_attributes(at.parent, at.name, attributes, seen=found, batch=at.batch)
        return ""

    def put_back(self, at: OpenPlace, before: ResourceState, image: bytes | None) -> None:
        del image
        attributes = attributes_of(before)
        found = at.look()
        if found.type == stat.S_IFDIR:
            set_attributes(at.parent, at.name, attributes, seen=found, batch=at.batch)
        else:
            put_folder(at.parent, at.name, attributes, backup=False, batch=at.batch)
