"""Quadlets outside of any deploy: the unit goes before its file, the image and what is in volumes stay.

``state`` has ``sha256`` of the file, its ``mode``, and whether its unit was ``running``; ``image`` is its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from agent.deploys import system_items, systemctl
from agent.deploys.at_path import AtPath, look
from agent.deploys.containers.quadlet import service_of
from agent.deploys.containers.spec import FOLDER, file_name, quadlet_item
from agent.deploys.items import Item, ItemType
from agent.deploys.kind import Kind, State, state_before
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError
from agent.system.process import run
from agent.system.safe_open import SYSTEM, UnsafePath, folder
from agent.system.systemd import booted


class Quadlets(Kind):
    """The kind ``quadlet``; names are those of files, ``web.container``."""

    def look(self, name: str) -> Seen | None:
        found = _file(name)
        if found.status is None:
            return None
        if found.content is None:
            raise UnsafePath(f"{FOLDER}/{name} is {found.name}, and is left alone")
        state: dict[str, JSON] = {
            "sha256": hashlib.sha256(found.content).hexdigest(),
            "mode": found.mode,
            "running": _running(service_of(name, found.content.decode(errors="replace"))),
        }
        return Seen(state, found.content)

    def units(self, entry: LedgerEntry) -> Collection[str]:
        """As its text says that lies there now; the text may name the unit itself."""
        try:
            content = _file(entry.name).content or b""
        except (UnsafePath, OSError):
            content = b""
        return (service_of(entry.name, content.decode(errors="replace")),)

    def changed(self, left: State, now: Seen) -> str:
        if left.get("sha256") != now.state["sha256"]:
            return "its content changed"
        return "its mode changed" if left.get("mode") != now.state["mode"] else ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        stayed = super().remove(entries, purge=purge)
        if booted():
            systemctl.systemctl(FOLDER, "daemon-reload")
        return stayed

    def remove_one(self, entry: LedgerEntry, *, purge: bool) -> None:  # noqa: ARG002 - a quadlet has no more to purge
        _remove(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: what was in it was not kept; it is left as it is")
        text = image.decode(errors="surrogateescape")
        service = service_of(entry.name, text)
        item = replace(quadlet_item(_checked(entry.name), text), mode=cast("int", before["mode"]))
        system_items.put(item, image)
        systemctl.systemctl(service, "daemon-reload")
        if before.get("running"):
            systemctl.start(service, "restart")
        else:
            systemctl.systemctl(service, "stop", service)


def _remove(name: str) -> None:
    found = _file(name)
    if found.status is None:
        return
    service = service_of(name, (found.content or b"").decode(errors="replace"))
    if _running(service):
        systemctl.systemctl(service, "stop", service)
    path = f"{FOLDER}/{name}"
    system_items.put(Item(key=f"quadlet:{name}", path=path, kind=ItemType.ABSENT), None)
    # Many containers end with the signal's number when they are stopped; a unit that is gone must not count as failed.
    run(["systemctl", "reset-failed", "--", service], timeout_s=systemctl.QUERY_TIMEOUT_S)


def _file(name: str) -> AtPath:
    try:
        with folder(None, FOLDER.strip("/"), root_links=SYSTEM.root_links) as parent:
            return look(parent, _checked(name))
    except FileNotFoundError:
        return AtPath()


def _checked(name: str) -> str:
    """Raises UnsafePath for what is not the name of a quadlet's file."""
    try:
        proper = file_name(name) == name
    except ValueError:
        proper = False
    if not proper:
        raise UnsafePath(f"{name!r} is not the name of a quadlet")
    return name


def _running(service: str) -> bool:
    """Whether its unit is there and not at rest: one that waits to be restarted is stopped, too."""
    if not booted():
        return False
    found = systemctl.query([service])[service]
    return found.running or found.restarting
