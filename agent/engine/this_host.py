"""pyinfra's inventory of this one host: its name and groups as in the config repo's inventory, and its data."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory

from agent.domain.digest import JSON
from agent.engine.code import run_file
from agent.engine.connector import HereConnector

LOCAL = "@local"
"""The group that pyinfra puts this host into, and its name where the data have none."""


class ThisHost(Host):
    """A host that tells its connector which fact asks a command."""

    def get_fact(self, name_or_cls: Any, *args: Any, **kwargs: Any) -> Any:
        connector = self.connector
        assert isinstance(connector, HereConnector)
        with connector.asking(name_or_cls):
            return super().get_fact(name_or_cls, *args, **kwargs)


class ThisInventory(Inventory):
    """An inventory of this host alone, with the connector ``@here``. pyinfra's own class would load all connectors, and
    with them an SSH library, to find it."""

    def __init__(self, name: str, data: dict[str, JSON]) -> None:
        super().__init__(([(name, data)], {}))  # type: ignore[no-untyped-call]

    def make_hosts_and_groups(self, names: Any, groups: Any) -> None:
        ((name, data),) = names
        self.host_data[name] = data
        self.hosts = {name: ThisHost(name, inventory=self, groups=[*groups], connector_cls=HereConnector)}


def this_host(data: Mapping[str, JSON]) -> Inventory:
    """An inventory of this host alone; deploy code finds ``data`` in ``host.data``. The host's name is
    ``inventory_hostname``, its groups are ``group_names``, parents first, and LOCAL."""
    name, groups = data.get("inventory_hostname"), data.get("group_names")
    ours = [str(group) for group in groups] if isinstance(groups, list) else []
    inventory = ThisInventory(name if isinstance(name, str) else LOCAL, dict(data))
    (host,) = inventory
    host.groups[:] = dict.fromkeys((*ours, LOCAL))
    for group in host.groups:
        inventory.groups[group] = [host]
    return inventory


def read_group_data(inventory: Inventory, folders: Iterable[Path]) -> None:
    """Add to ``inventory`` the values that ``group_data/all.py`` and ``group_data/<group>.py`` of ``folders`` assign,
    as pyinfra's command line does. Values of a later folder override those of an earlier one, and the host's own data
    override both."""
    (host,) = inventory
    for folder in dict.fromkeys(folders):
        for group in ("all", *host.groups):
            path = folder / "group_data" / f"{group}.py"
            if path.is_file():
                (inventory.data if group == "all" else inventory.group_data[group]).update(_assigned(path))


def _assigned(path: Path) -> dict[str, object]:
    """The values that a file assigns, by name: those that it lists in ``__all__``, or all but its imports."""
    values = run_file(path)
    imports = (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Import | ast.ImportFrom))
    imported = {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    listed = values.get("__all__")
    names = set(listed) if isinstance(listed, list | tuple) else values.keys() - imported
    return {name: value for name, value in values.items() if name in names and not name.startswith("__")}
