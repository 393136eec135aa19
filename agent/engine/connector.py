"""How pyinfra reaches this host: the one name in an inventory of one host."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api.inventory import Inventory

from agent.domain.digest import JSON

CONNECTOR = "@local"
"""pyinfra's own; it starts a shell for every command."""


def this_host(data: Mapping[str, JSON]) -> Inventory:
    """An inventory of this host alone; deploy code finds ``data`` in ``host.data``."""
    return Inventory(([(CONNECTOR, dict(data))], {}))
