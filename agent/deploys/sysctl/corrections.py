"""sysctl: settings turned into corrections, by one look at the kernel's values and at the files read at boot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from agent.deploys.correction import Correction, refusal
from agent.deploys.sysctl.host import Kernel
from agent.deploys.sysctl.settings import Step, Wanted, carry_out, steps
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError where our file cannot be read.
    """
    entries = cast("Mapping[str, Mapping[str, JSON]]", arguments["settings"])
    wanted = [Wanted(key, f"{entry['value']}", bool(entry["optional"])) for key, entry in entries.items()]
    kernel = Kernel()
    return [_correction(kernel, step) for step in steps(kernel, wanted)]


def _correction(kernel: Kernel, step: Step) -> Correction:
    if step.refused is not None:
        return refusal(f"sysctl:{step.wanted.key}", step.refused)
    return Correction(WantedChange(f"sysctl:{step.wanted.key}", step.operation), carry_out, kernel, step)
