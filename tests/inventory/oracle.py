"""Ansible itself, in this process: what ``ansible-inventory`` says of a folder, without the half second of a command.

Ansible keeps module-level caches and singletons; each question begins with them emptied.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from ansible import context
from ansible.cli.inventory import InventoryCLI
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.vars import host_group_vars
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

# Its warnings are about what Hostwright complains of; what it says of itself does not belong into the test's output.
for _name in ("display", "warning", "deprecated", "error_as_warning", "_warning", "_deprecated"):
    if hasattr(Display, _name):
        setattr(Display, _name, lambda *_args, **_kwargs: None)


class Oracle:
    """One inventory file and the vars folders beside it. Raises AnsibleError for what Ansible refuses."""

    def __init__(self, hosts_file: Path) -> None:
        for cache in (host_group_vars.CANONICAL_PATHS, host_group_vars.FOUND, host_group_vars.NAK):
            cache.clear()
        context.CLIARGS = ImmutableDict(
            yaml=False, toml=False, export=False, basedir=None, subset=None, host=None, verbosity=0, output_file=None
        )
        self._cli = InventoryCLI.__new__(InventoryCLI)
        loader = DataLoader()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._cli.loader = loader
            self._cli.inventory = InventoryManager(loader=loader, sources=[str(hosts_file)])
            self._cli.vm = VariableManager(loader=loader, inventory=self._cli.inventory, version_info={})

    def as_list(self) -> dict[str, Any]:
        return json.loads(self._cli.dump(self._cli.json_inventory(self._cli._get_group("all"))))

    def as_host(self, host: str) -> dict[str, Any]:
        variables = self._cli._get_host_variables(self._cli.inventory.get_host(host))
        return json.loads(self._cli.dump(variables))

    def match(self, pattern: str) -> list[str]:
        return [host.name for host in self._cli.inventory.get_hosts(pattern) if not host.implicit]
