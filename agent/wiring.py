"""The only place where parts are put together: settings in, working objects out."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.domain.memory import FleetSettings
from agent.domain.plan import Hold
from agent.domain.tree import Tree
from agent.engine.client import Engine
from agent.errors import HostwrightError, SettingsError, UsageError, host_io_error
from agent.fleet.writer import StatusBranch
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.healing import heal
from agent.host.identity import Identity, admitted
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.origin import mend
from agent.host.outbox import outboxes_of_host
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.rescued import tell_of_rescue
from agent.host.resolved import ResolvedFor, ResolvedStates, digest_of_agent
from agent.host.settings import Settings
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.inventory.ansible.inventory import read_host_names
from agent.inventory.fleet import read_fleet
from agent.inventory.source import open_source
from agent.parts import Named, Parts
from agent.steps.apply import Progress
from agent.steps.choose import suspension
from agent.steps.report import StatusReporter
from agent.steps.trial import REMOTE_TIMEOUT_S
from agent.system.files import discard, make_private_folder
from agent.system.folder import FolderTree
from agent.system.git import Mirror
from agent.system.git_environment import Access
from agent.system.remote import Remote, answers
from agent.system.room import require_room
from agent.system.working_copy import Checkout


def clock() -> int:
    """Seconds since the epoch, by this host."""
    return int(time.time())


def parts_of_host(paths: Paths, *, lock: int, progress: Progress, named: Named | None = None) -> Parts:
    """Everything a cycle works on. The caller holds the lock, whose descriptor the engine child inherits.

    Raises SettingsError when this host follows no repository yet.
    """
    settings = read_settings(paths)
    memory, journal, ledger = Memory(paths), Journal(paths.journal), Ledger(paths.ledger)
    mirror, events = mirror_of_host(paths, settings), Events(paths.events)
    versions = Versions(paths)
    unusable: HostwrightError | None = None
    renewed = False
    healed: tuple[HostwrightError, ...] = ()
    try:
        make_private_folder(paths.var)
        require_room(paths.var)
        discard(paths.work)
        healed = heal(paths, memory=memory, journal=journal, ledger=ledger)
        if settings.remote == f"{paths.origin}" and (mended := mend(paths.origin, mirror, settings.branch)):
            healed = (*healed, mended)
        tell_of_rescue(paths, events, clock())
        try:
            renewed = versions.begin(memory)
        except SettingsError as error:  # systemd's; the host is looked after all the same
            healed = (*healed, error)
    except OSError as error:
        unusable = host_io_error(error)
    return replace(
        _parts(paths, settings, paths.work, progress, inherit=(lock,)),
        renewed=renewed,
        healed=healed,
        unusable=unusable,
        named=named,
        ledger=ledger,
    )


def parts_of_plan(paths: Paths, work: Path) -> Parts:
    """What a plan without the lock works on: scratch files go to ``work``, for a cycle may collect its own meanwhile.

    Raises SettingsError when this host follows no repository yet.
    """
    found = _parts(paths, read_settings(paths), work, Progress(started=lambda *_: None, operated=lambda _: None))
    resolved = resolved_states_of_host(paths, found.settings, writes=False)
    return replace(found, exports=Exports(work / "commits", found.mirror), resolved=resolved)


def _parts(paths: Paths, settings: Settings, work: Path, progress: Progress, inherit: tuple[int, ...] = ()) -> Parts:
    memory, mirror = Memory(paths), mirror_of_host(paths, settings)
    return Parts(
        paths=paths,
        settings=settings,
        memory=memory,
        mirror=mirror,
        exports=Exports(paths.commits, mirror),
        repositories=repositories_of_host(paths, settings),
        resolved=resolved_states_of_host(paths, settings),
        engine=Engine(
            work=work,
            timeout_s=memory.state().fleet.deploy_timeout_s,
            inherit=inherit,
            repositories=paths.repositories,
        ),
        journal=Journal(paths.journal),
        ledger=Ledger(paths.ledger),
        events=Events(paths.events),
        reporter=reporter_of_host(paths, settings, mirror),
        progress=progress,
        clock=clock,
        versions=Versions(paths),
        remote_answers=lambda: answers(Remote.parse(settings.remote), settings.proxy, REMOTE_TIMEOUT_S),
    )


def reporter_of_host(paths: Paths, settings: Settings, mirror: Mirror) -> StatusReporter:
    access = access_of_host(paths, settings, reporting=True)
    return StatusReporter(
        settings=settings,
        memory=Memory(paths),
        events=Events(paths.events),
        identity=lambda: Identity.ensure(paths.identity, settings.host),
        outboxes=outboxes_of_host(paths),
        branch=lambda fleet, cache: status_branch(cache, settings, fleet, access),
        identities=lambda sha: identities_at(mirror, settings.inventory, sha),
        hosts=lambda sha: hosts_at(mirror, settings.inventory, sha),
        clock=clock,
    )


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


def resolved_states_of_host(paths: Paths, settings: Settings, *, writes: bool = True) -> ResolvedStates:
    whom = ResolvedFor(digest_of_agent(), settings.inventory, settings.host)
    return ResolvedStates(paths.resolved, whom, writes=writes)


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
    """Where this host reports: what was said on the host counts before what fleet.yaml says."""
    remote = Remote.parse(settings.status_remote or fleet.status_remote or settings.remote)
    return StatusBranch(folder, remote, access)


def identities_at(mirror: Mirror, inventory: str, sha: str | None) -> Mapping[str, str]:
    """The public lines of the hosts that a trusted commit admits."""
    if sha is None:
        return {}
    found, _ = admitted(mirror.tree(sha), inventory)
    return {host: identity.ssh for host, identity in found.items()}


def hosts_of(tree: Tree, inventory: str) -> frozenset[str] | None:
    """The hosts of an inventory; None where nobody can tell."""
    try:
        return read_host_names(open_source(tree, inventory))
    except HostwrightError:
        return None


def hosts_at(mirror: Mirror, inventory: str, sha: str | None) -> frozenset[str] | None:
    """Those of a trusted commit."""
    return None if sha is None else hosts_of(mirror.tree(sha), inventory)


@dataclass(frozen=True, slots=True)
class FleetView:
    """What ``hostwright status`` reads: the branch, whose signatures to expect, which hosts there are (None: nobody
    knows), and what was seen before. ``local``: on a managed host its name, and what a person said there."""

    branch: StatusBranch
    identities: Mapping[str, str]
    inventory: str
    hosts: frozenset[str] | None
    seen: Path
    local: tuple[str, tuple[Hold, ...]] | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    """By host, what is wrong with the file that is to admit it."""


def fleet_view(
    repo: Path | None,
    inventory: str | None,
    remote: str | None,
    *,
    paths: Paths,
    choose: Callable[[], tuple[Path, str]],
) -> FleetView:
    """On a managed host, without ``repo``: its own. Elsewhere ``choose`` names the config repo and its inventory."""
    if repo is None and os.geteuid() == 0 and paths.settings.exists():
        return _view_of_host(paths, remote)
    root, only = choose()
    name = inventory or only
    tree = FolderTree(root)
    folder = cache() / _slug(root)
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
    """Complaints about files of identities, which begin with the path, by the host that the file is called after."""
    return {Path(error.message.partition(": ")[0]).stem: error.message for error in wrong}


def _view_of_host(paths: Paths, remote: str | None) -> FleetView:
    settings = read_settings(paths)
    memory = Memory(paths)
    access = access_of_host(paths, settings, reporting=True)
    branch = status_branch(paths.var / "status-read.git", settings, memory.state().fleet, access)
    if remote is not None:
        branch = StatusBranch(branch.repo, Remote.parse(remote), access)
    mirror, last, now = mirror_of_host(paths, settings), memory.trust().last, clock()
    known = identities_at(mirror, settings.inventory, last)
    own = {settings.host: Identity.load(paths.identity, settings.host).public_line}
    said = (suspension(memory.suspension(now), None, now),)
    return FleetView(
        branch,
        {**known, **own},
        settings.inventory,
        hosts_at(mirror, settings.inventory, last),
        paths.seen,
        (settings.host, tuple(hold for hold in said if hold is not None)),
    )


def _origin(root: Path) -> str:
    checkout = Checkout.around(root)
    asked = ("config", "--local", "--no-includes", "--get", "remote.origin.url")
    url = checkout.ask(*asked) if checkout is not None else ""
    if not url:
        raise UsageError(
            f"{root} has no remote `origin`", hint="name the status remote: hostwright status --remote URL"
        )
    return url


def _slug(root: Path) -> str:
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
