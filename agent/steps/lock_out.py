"""lock_out: keeps out whoever the newest commit wants absent, also while the host is on an older commit. Pure.

When a commit does harm, the host goes back to an older one. The accounts that the harmful commit wants absent stay
absent all the same: it locked them out on purpose. An account that it merely no longer names may be missing by mistake;
that stays as the older commit wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from agent.domain.desired import DesiredDeploy, DesiredState, Resource
from agent.domain.digest import JSON

_USERS = "users"
_ACCOUNTS = "accounts"


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
