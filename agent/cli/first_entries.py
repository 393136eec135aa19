"""The ledger's first entries: the packages that bootstrap.sh installed to run the agent."""

from __future__ import annotations

import time
from pathlib import Path

from agent.deploys.packages import package as packages
from agent.domain.ownership import BOOTSTRAP
from agent.host.baseline import LIMIT, read_baseline, write_baseline
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.undo import Undo
from agent.system.files import read_bounded


def begin_ledger(packages_before: Path | None, paths: Paths, undo: Undo) -> None:
    """Record the packages that were installed after ``packages_before`` was written, a file of names, one a line, then
    ``+name`` for each that was asked for. The first call also writes the baseline: the packages before these.

    Raises OSError, DeployError.
    """
    names = read_bounded(packages_before, LIMIT).decode().split() if packages_before is not None else []
    asked = {name.removeprefix("+") for name in names if name.startswith("+")}
    before = {name for name in names if not name.startswith("+")}
    if read_baseline(paths) is None:
        undo.created(paths.ledger)
        write_baseline(paths, before or packages.installed())
    if packages_before is None:
        return
    ledger = Ledger(paths.ledger)
    with ledger.together():
        for name, seen in packages.came_since(before, asked).items():
            key = f"package:{name}"
            if ledger.entry(key) is None:
                ledger.record(key, BOOTSTRAP, int(time.time()), None)
                ledger.settle(key, seen)
