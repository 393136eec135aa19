"""The choice of the inventory and the host that this machine is, by exact names."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from agent.domain.near import near
from agent.errors import InventoryError
from agent.problems import ProblemKind

LOCAL = "localhost"
SHOWN = 5
"""Names that an error lists; a fleet has thousands."""


def own_names() -> tuple[str, ...]:
    """The names of this machine, the fullest first, ``localhost`` last."""
    name = socket.gethostname()
    full = socket.getfqdn(name)
    names = [own for own in (full, name, name.partition(".")[0]) if own.partition(".")[0] != LOCAL]
    return tuple(dict.fromkeys((*names, LOCAL)))


def choose_host(known: Iterable[str], wanted: str | None, own: Sequence[str], where: str) -> str:
    """The host that this machine is: ``wanted``, else the first of the names ``own`` that is among the ``known`` hosts
    of the inventory ``where``. Raises InventoryError, which lists similar names."""
    hosts = sorted(known)
    names = (wanted,) if wanted is not None else own
    for name in names:
        if name in hosts:
            return name
    shown = near(names[0], hosts, SHOWN) or hosts[:SHOWN]
    listed = f"there are: {', '.join(shown)}{', …' if len(hosts) > len(shown) else ''}" if shown else "it has no hosts"
    called = "a host" if wanted is not None else "this machine, by the name of"
    raise InventoryError(
        f"{where} does not know {called} {names[0]}",
        kind=ProblemKind.HOST_UNKNOWN,
        hint=f"add it there, or say which host this is with --host NAME ({listed})",
    )


def choose_inventory(known: Iterable[str], wanted: str | None) -> str:
    """The inventory called ``wanted``; if that is None, ``local``, else the only one. Raises InventoryError, which
    lists the ``known`` ones."""
    inventories = sorted(known)
    if wanted in inventories:
        return str(wanted)
    if wanted is None and "local" in inventories:
        return "local"
    if wanted is None and len(inventories) == 1:
        return inventories[0]
    raise InventoryError(
        f"there is no inventory {wanted}" if wanted is not None else "it is not said which inventory this host is in",
        kind=ProblemKind.INVENTORY_UNKNOWN,
        hint=f"name one with --inventory: {', '.join(inventories) or 'the repository has none below inventories/'}",
    )
