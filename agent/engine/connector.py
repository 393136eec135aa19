"""pyinfra's inventory of this one host: its name and groups as in our inventory, and its data."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyinfra.api.inventory import Inventory

from agent.domain.digest import JSON
from agent.engine.code import run_file

CONNECTOR = "@local"
"""pyinfra's own; it starts a shell for every command."""


def this_host(data: Mapping[str, JSON]) -> Inventory:
    """An inventory of this host alone; deploy code finds ``data`` in ``host.data``. Its name is
    ``inventory_hostname``, its groups are ``group_names``, parents first, and the one that pyinfra gives it."""
    inventory = Inventory(([(CONNECTOR, dict(data))], {}))
    (host,) = inventory
    name, groups = data.get("inventory_hostname"), data.get("group_names")
    if isinstance(name, str):
        host.name = name
        inventory.hosts = {name: host}
        inventory.host_data[name] = inventory.host_data[CONNECTOR]
    ours = [str(group) for group in groups] if isinstance(groups, list) else []
    host.groups[:] = dict.fromkeys((*ours, *host.groups))
    for group in ours:
        inventory.groups[group] = [host]
    return inventory


def read_group_data(inventory: Inventory, folders: Iterable[Path]) -> None:
    """Puts into ``inventory`` what ``group_data/all.py`` and ``group_data/<group>.py`` of ``folders`` assign, as
    pyinfra's command line does: below the host's own data, and what a later folder says above an earlier."""
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
