"""How this host reaches its config repo, other repositories and the branch that takes its reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.domain.memory import FleetSettings
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.settings import Settings
from agent.system.git import Mirror
from agent.system.git_environment import Access
from agent.system.remote import Remote

if TYPE_CHECKING:
    from agent.fleet.writer import StatusBranch


def access_of_host(paths: Paths, settings: Settings, *, reporting: bool = False) -> Access:
    """How this host reaches its config repo and, when ``reporting``, the remote that takes its reports."""
    keys = (paths.status_key, paths.deploy_key) if reporting else (paths.deploy_key,)
    return Access(
        known_hosts=paths.known_hosts if paths.known_hosts.exists() else None,
        # A link that leads nowhere is no key, and not as if there were none.
        deploy_key=next((key for key in keys if os.path.lexists(key)), None),
        ca=settings.ca,
        proxy=settings.proxy,
    )


def mirror_of_host(paths: Paths, settings: Settings) -> Mirror:
    return Mirror(paths.mirror, access_of_host(paths, settings))


def repositories_of_host(paths: Paths, settings: Settings) -> Repositories:
    return Repositories(paths.repositories, access_of_host(paths, settings), settings.remote)


def repositories_of_administrator(*, fetch: bool) -> Repositories:
    """Where `hostwright lock` keeps what it fetched, by ssh's own configuration and agent of who runs it."""
    access = Access(known_hosts=None, deploy_key=None) if fetch else None
    return Repositories(cache() / "repositories", access)


def cache() -> Path:
    """On an administrator's machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostwright"


def status_branch(folder: Path, settings: Settings, fleet: FleetSettings, access: Access) -> StatusBranch:
    """The branch on which this host reports."""
    from agent.fleet.writer import StatusBranch  # with the reader of reports, which takes pydantic

    return StatusBranch(folder, Remote.parse(settings.reports_to(fleet)), access)
