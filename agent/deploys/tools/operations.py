"""tools: pins turned into corrections, one for each tool that is not as pinned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.deploys.correction import Correction, correct
from agent.deploys.tools.install import platform
from agent.deploys.tools.spec import pins_from_json
from agent.deploys.tools.store import Store
from agent.deploys.tools.tool import make_so, wanted_change
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:  # noqa: ARG001 - pins are in the arguments
    """Every deploy has this door. Raises DeployError for a tool that has no pin for this machine's platform."""
    store, machine = Store(), platform()
    looked = [(pin, wanted_change(store, pin, machine)) for pin in pins_from_json(arguments["tools"])]
    correct(
        "tools",
        [
            Correction(WantedChange(f"tool:{pin.name}", operation), make_so, store, pin, machine)
            for pin, operation in looked
            if operation is not None
        ],
    )
