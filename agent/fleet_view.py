"""The sources of ``hostwright status``: the status branch, the hosts that belong there, and the keys they sign with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.plan import Hold
from agent.errors import HostwrightError, UsageError
from agent.fleet.writer import StatusBranch
from agent.host.admission import wanted_keys
from agent.host.exports import Exports
from agent.host.identity import Identity, PublicIdentity, admitted
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.remotes import access_of_host, cache, mirror_of_host, status_branch
from agent.steps.choose import suspension
from agent.steps.members import hosts_of, identities_of
from agent.system.folder import FolderTree
from agent.system.git_command import Access
from agent.system.remote import Remote
from agent.system.working_copy import Checkout


@dataclass(frozen=True, slots=True)
class FleetView:
    """The sources of ``hostwright status``.

    ``branch``: the status branch. ``identities``: by host, the key that its reports are signed with. ``hosts``: the
    hosts of the inventory; None if nobody knows. ``seen``: the file with the sequences seen before. ``local``: on a
    managed host, its name and the holds that a person set there."""

    branch: StatusBranch
    identities: Mapping[str, str]
    inventory: str
    hosts: frozenset[str] | None
    seen: Path
    local: tuple[str, tuple[Hold, ...]] | None = None
    asks: str = ""
    """On a managed host that is not admitted yet, the fingerprint of the key that it asks for; else empty."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """The faults of files that are to admit a host, by host."""
    knows: Callable[[str], bool] | None = None
    """On a managed host: True for a commit of the config repo that its mirror has."""


def view_of_repo(root: Path, name: str, remote: str | None = None) -> FleetView:
    """The sources as the inventory ``name`` of the config repo at ``root`` has them. ``remote``: the status remote;
    None for that of fleet.yaml. Raises InventoryError, and UsageError where no remote is named."""
    from agent.inventory.fleet import read_fleet  # not needed on a host, which remembers what fleet.yaml says

    tree = FolderTree(root)
    folder = cache() / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    fleet = read_fleet(tree, name)
    where = Remote.parse(remote or (fleet.status.remote if fleet.status.remote != "same" else _origin(root)))
    access = Access(known_hosts=None, deploy_key=None)
    found, wrong = admitted(tree, name)
    return FleetView(
        StatusBranch(folder / "status.git", where, access),
        {host: identity.ssh for host, identity in found.items()},
        name,
        hosts_of(tree, name),
        folder / "seen.json",
        broken=_by_host(wrong),
    )


def _by_host(wrong: Iterable[HostwrightError]) -> Mapping[str, str]:
    """The complaints about files of identities, by the host that the file is named after. Each begins with the path."""
    return {Path(error.message.partition(": ")[0]).stem: error.message for error in wrong}


def view_of_host(paths: Paths, remote: str | None) -> FleetView:
    """The sources as this managed host knows them. ``remote``: the status remote; None for that of its settings. Raises
    SettingsError."""
    settings = read_settings(paths)
    memory = Memory(paths)
    access = access_of_host(paths, settings, reporting=True)
    branch = status_branch(paths.var / "status-read.git", settings, memory.state().fleet, access)
    if remote is not None:
        branch = StatusBranch(branch.repo, Remote.parse(remote), access)
    last, now = memory.trust().last, int(time.time())
    mirror = mirror_of_host(paths, settings)
    tree = Exports(paths.commits, mirror).tree(last) if last is not None else None
    known = identities_of(tree, settings.inventory) if tree is not None else {}
    own = {settings.host: Identity.load(paths.identity, settings.host).public_line}
    asked = PublicIdentity(Identity.load(wanted_keys(paths), settings.host).public_line).fingerprint
    here = settings.host in known and PublicIdentity(known[settings.host]).key == PublicIdentity(own[settings.host]).key
    said = (suspension(memory.suspension(now), None, now),)
    return FleetView(
        branch,
        {**known, **own},
        settings.inventory,
        hosts_of(tree, settings.inventory) if tree is not None else None,
        paths.seen,
        (settings.host, tuple(hold for hold in said if hold is not None)),
        "" if here or settings.remote == str(paths.origin) else asked,
        knows=mirror.has,
    )


def _origin(root: Path) -> str:
    checkout = Checkout.around(root)
    url = checkout.origin if checkout is not None else ""
    if not url:
        raise UsageError(f"{root} has no remote `origin`", hint="name the status remote: --remote URL")
    return url
