"""revoke: takes away the access of what has left Git, also in a cycle that removes nothing else.

To lock somebody out is no tidying: the agent waits for no health, no failed deploy and no process. It waits only

- where the removal looks like a mistake (``prune-held``);
- where the deploy that it came from is in ``mode: observe``;
- where a policy denies that very removal;
- while the host is suspended, outside its windows, or held on an older commit.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.deploys.kind import Kind, kind_named
from agent.domain.account import Account
from agent.domain.plan import HoldKind
from agent.domain.removal import Removal
from agent.errors import DeployError, HostwrightError
from agent.problems import ProblemKind

_BY_HAND = "look at it on the host now: somebody who has left may still get in; each cycle tries again"
_HOLDS = frozenset({HoldKind.PRUNE_HELD, HoldKind.OBSERVE, HoldKind.POLICY})


def revoke(account: Account, removals: Iterable[Removal]) -> tuple[tuple[str, ...], tuple[HostwrightError, ...]]:
    """Take access away, for each removal by itself. Return the keys of what had some, and an error for each that could
    not be taken."""
    revoked: list[str] = []
    failures: list[HostwrightError] = []
    for removal in () if _left_alone(account) else removals:
        entry, kind = removal.entry, _revocable(removal)
        if kind is None:
            continue
        try:
            untaken = kind.revoke(entry) if kind.has_access(entry) else None
        except (DeployError, OSError) as error:
            untaken = [f"{error}"]
        if untaken is not None:
            revoked.append(entry.key)
            failures += [
                DeployError(f"{entry.key}: {why}", kind=ProblemKind.NOT_REVOKED, hint=_BY_HAND) for why in untaken
            ]
    return tuple(revoked), tuple(failures)


def _revocable(removal: Removal) -> Kind | None:
    held = removal.hold is not None and removal.hold.kind in _HOLDS
    return kind_named(removal.entry.kind) if removal.goes and not held else None


def _left_alone(account: Account) -> bool:
    """True if the host is suspended, outside its windows, or held on an older commit that no person chose."""
    return account.shut is not None or (account.hold is not None and account.hold.kind is not HoldKind.PINNED)
