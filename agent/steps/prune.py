"""prune: turns the ledger and what is wanted into what has left Git and is still on the host.

In this version nothing is removed: what left Git stays, and the report says how much.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.domain.desired import DesiredState
from agent.host.ledger import LedgerEntry


def left_behind(entries: Iterable[LedgerEntry], state: DesiredState) -> tuple[str, ...]:
    """Keys of resources that the agent once changed and no deploy of ``state`` wants any more, sorted."""
    wanted = {resource.key for deploy in state.deploys for resource in deploy.resources}
    return tuple(sorted(entry.key for entry in entries if entry.key not in wanted))
