"""tools: pins turned into corrections, one for each tool that is not as pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction, refusal
from agent.deploys.tools.install import platform
from agent.deploys.tools.store import Store
from agent.deploys.tools.tool import make_so, wanted_change
from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.pins import ToolPin
from agent.domain.plan import WantedChange
from agent.errors import DeployError


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    A tool that has no pin for this machine's platform is refused alone.
    """
    store, machine = Store(), platform()
    made: list[Correction] = []
    refused: list[Correction] = []
    for pin in codec.from_plain(arguments["tools"], list[ToolPin]):
        key = f"tool:{pin.name}"
        try:
            operation = wanted_change(store, pin, machine)
        except DeployError as error:
            refused.append(refusal(key, error))
            continue
        if operation is not None:
            made.append(Correction(WantedChange(key, operation), make_so, store, pin, machine))
    return [*made, *refused]
