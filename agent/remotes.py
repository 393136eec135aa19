"""The access to remotes: of this host to its config repo, to other repositories and to the branch that takes its
reports; of an administrator to other repositories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.domain.memory import FleetSettings
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.settings import Settings
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from agent.system.remote import Remote

if TYPE_CHECKING:
    from agent.fleet.writer import StatusBranch


def access_of_host(paths: Paths, settings: Settings, *, reporting: bool = False) -> Access:
    """The access to the config repo; with ``reporting``, to the remote that takes the reports."""
    keys = (paths.status_key, paths.deploy_key) if reporting else (paths.deploy_key,)
    return Access(
        known_hosts=paths.known_hosts if paths.known_hosts.exists() else None,
        # A link that leads nowhere counts as a key, so that ssh fails: another key must not be used instead.
        deploy_key=next((key for key in keys if os.path.lexists(key)), None),
        ca=settings.ca,
        proxy=settings.proxy,
    )


def mirror_of_host(paths: Paths, settings: Settings) -> Mirror:
    return Mirror(paths.mirror, access_of_host(paths, settings))


def repositories_of_host(paths: Paths, settings: Settings) -> Repositories:
    return Repositories(paths.repositories, access_of_host(paths, settings), settings.remote)


def repositories_of_administrator(*, fetch: bool) -> Repositories:
    """The other repositories that `hostwright lock` keeps on an administrator's machine. They are reached with the ssh
    configuration and agent of the person who runs it. ``fetch``: False where nothing may be fetched."""
    access = Access(known_hosts=None, deploy_key=None) if fetch else None
    return Repositories(cache() / "repositories", access)


def cache() -> Path:
    """The cache folder on an administrator's machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostwright"


def status_branch(folder: Path, settings: Settings, fleet: FleetSettings, access: Access) -> StatusBranch:
    """The branch on which this host reports."""
    from agent.fleet.writer import StatusBranch  # it loads the reader of reports, which few commands need

    return StatusBranch(folder, Remote.parse(settings.reports_to(fleet)), access)
