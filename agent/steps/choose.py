"""choose: turns what is applied and what Git newly wants into the state to aim at, and says why not the newest.

Pure. A window, a suspension and a bad digest are each a hold that keeps the host on its current state; waves will be
one more.

Accounts that the newest commit wants absent stay absent on an older commit too, also on the way back from a commit that
did harm: it locked them out on purpose. An account that it merely no longer names may be missing by mistake; that stays
as the older commit wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from agent.domain.desired import DesiredDeploy, DesiredState, Resource
from agent.domain.digest import JSON
from agent.domain.memory import Suspension
from agent.domain.plan import Hold, HoldKind
from agent.domain.resolution import HostTerms, Resolution
from agent.domain.window import OPEN, Gate

HERE = "suspended on this host"
_USERS = "users"
_ACCOUNTS = "accounts"


@dataclass(frozen=True, slots=True)
class Target:
    """The state to make true now.

    ``hold``: the reason why this is not the newest commit; None if it is. ``suspension``: the reason why nothing on the
    host may be changed. ``gate``: the holds on what may not begin now. Both apply whichever commit is aimed at.
    """

    resolution: Resolution
    hold: Hold | None = None
    suspension: Hold | None = None
    gate: Gate = OPEN


def suspension(local: Suspension | None, terms: HostTerms | None, now: int) -> Hold | None:
    """The hold on a suspended host; None if it is not suspended. A person suspends it on the host itself (``local``),
    or fleet.yaml does."""
    if local is not None:
        return Hold(HoldKind.SUSPENDED, f"{HERE}: {local.reason}", local.until)
    for entry in terms.suspensions if terms is not None else ():
        if entry.is_current(now):
            return Hold(HoldKind.SUSPENDED, f"suspended by fleet.yaml: {entry.reason}", entry.until)
    return None


def choose(
    current: Resolution | None,
    candidate: Resolution | None,
    *,
    suspension: Hold | None,
    bad: Hold | None = None,
    gate: Gate = OPEN,
    pinned: Hold | None = None,
) -> Target | None:
    """The target: ``candidate``, or if something holds it ``current``, the state aimed at before.

    ``candidate``: None if the newest commit cannot be used (the cycle has said why). ``current``: None if there is no
    state to stay on. ``pinned``: the reason why the candidate is not the newest commit, but one that a person named.

    - A bad candidate is never the target. Return None then if there is no ``current``.
    - A window or a suspension holds a candidate only if there is a ``current``, and if their digests differ: a
      candidate with the same digest changes nothing on the host.
    - Return None if there is neither.
    """
    if candidate is None:
        return None if current is None else Target(current, suspension=suspension, gate=gate)
    if bad is not None:
        if current is None:
            return None
        return Target(replace(current, state=kept_out(current.state, candidate.state)), bad, suspension, gate)
    waits = suspension or gate.intended
    if waits is None or current is None or candidate.state.digest == current.state.digest:
        return Target(candidate, pinned, suspension, gate)
    return Target(current, waits, suspension, gate)


def kept_out(older: DesiredState, newest: DesiredState) -> DesiredState:
    """``older``, with those of its accounts absent that ``newest`` wants absent."""
    leavers = {
        resource.key: (resource, _accounts(deploy).get(resource.key.removeprefix("user:")))
        for deploy in newest.deploys
        if deploy.kind == _USERS
        for resource in deploy.resources
        if resource.absent and resource.key.startswith("user:")
    }
    return replace(older, deploys=tuple(_without(deploy, leavers) for deploy in older.deploys)) if leavers else older


def _without(deploy: DesiredDeploy, leavers: Mapping[str, tuple[Resource, JSON]]) -> DesiredDeploy:
    if deploy.kind != _USERS:
        return deploy
    gone = {key: leavers[key] for key in (resource.key for resource in deploy.resources) if key in leavers}
    accounts = {**_accounts(deploy), **{key.removeprefix("user:"): entry for key, (_, entry) in gone.items()}}
    resources = tuple(gone[each.key][0] if each.key in gone else each for each in deploy.resources)
    return replace(deploy, arguments={**deploy.arguments, _ACCOUNTS: accounts}, resources=resources)


def _accounts(deploy: DesiredDeploy) -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", deploy.arguments.get(_ACCOUNTS, {}))
