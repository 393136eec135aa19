"""The one table of built-in deploys: the kind that an inventory names, and the Spec that understands it.

Specs are imported when first asked for, so that reading the table costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from agent.deploys.spec import Spec

_SPECS: dict[str, str | type[Spec]] = {
    "command": "CommandSpec",
    "containers": "ContainersSpec",
    "cron": "CronSpec",
    "dotfiles": "DotfilesSpec",
    "files": "FilesSpec",
    "motd": "MotdSpec",
    "packages": "PackagesSpec",
    "services": "ServicesSpec",
    "ssh": "SshSpec",
    "sysctl": "SysctlSpec",
    "tools": "ToolsSpec",
    "users": "UsersSpec",
}


def kinds() -> tuple[str, ...]:
    """All kinds in force, sorted."""
    return tuple(sorted(_SPECS))


def spec_class(kind: str) -> type[Spec]:
    """The Spec of ``kind``. Raises KeyError for a kind that is not in the table."""
    entry = _SPECS[kind]
    if isinstance(entry, str):
        module = import_module(f"agent.deploys.{kind}.spec")
        entry = _SPECS[kind] = cast("type[Spec]", getattr(module, entry))
    return entry


def register(spec: type[Spec]) -> None:
    """Puts a further kind into the table, under ``spec.kind``; one of the same kind is replaced."""
    _SPECS[spec.kind] = spec
