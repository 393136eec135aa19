"""The only place where parts are made and put together, from the settings of the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.engine.client import Engine
from agent.errors import HostwrightError, SettingsError, host_io_error
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.resolved import ResolvedFor, ResolvedStates, digest_of_agent
from agent.host.settings import Settings
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.parts import Named, Parts, Reporter, SilentReporter
from agent.remotes import access_of_host, mirror_of_host, repositories_of_host, status_branch
from agent.steps.apply import Progress
from agent.steps.trial import REMOTE_TIMEOUT_S
from agent.system.files import discard, make_private_folder, require_room
from agent.system.mirror import Mirror
from agent.system.remote import Remote, answers

if TYPE_CHECKING:
    from agent.host.admission import Admission
    from agent.host.identity import Identity
    from agent.steps.report import StatusReporter


def clock() -> int:
    """Seconds since the epoch, by this host."""
    return int(time.time())


def parts_of_host(paths: Paths, *, lock: int, progress: Progress, named: Named | None) -> Parts:
    """The parts of a cycle, after damage on the host was put right. ``lock``: the descriptor of the lock, which the
    caller holds; the engine child inherits it. ``named``: the commit that a person asked for, if any.

    Raises SettingsError when this host follows no repository yet.
    """
    from agent.host.healing import heal  # not loaded for a plan, which puts nothing right
    from agent.host.origin import mend

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
        versions.tell_of_rescue(events, clock())
        try:
            renewed = versions.begin(memory, clock())
        except SettingsError as error:  # systemd refused something; the cycle goes on all the same
            healed = (*healed, error)
    except OSError as error:
        unusable = host_io_error(error)
    reporter = reporter_of_host(paths, settings, mirror, memory)
    parts = _parts(paths, settings, memory, mirror, lock=lock, work=paths.work, progress=progress, reporter=reporter)
    return replace(parts, ledger=ledger, renewed=renewed, healed=healed, unusable=unusable, named=named)


def parts_of_plan(paths: Paths, work: Path) -> Parts:
    """The parts of a plan, which has no lock and writes nothing but scratch files below ``work``.

    Raises SettingsError when this host follows no repository yet.
    """
    settings, progress = read_settings(paths), Progress(started=lambda *_: None, operated=lambda _: None)
    mirror, memory = mirror_of_host(paths, settings), Memory(paths)
    return _parts(paths, settings, memory, mirror, lock=None, work=work, progress=progress, reporter=SilentReporter())


def _parts(
    paths: Paths,
    settings: Settings,
    memory: Memory,
    mirror: Mirror,
    *,
    lock: int | None,
    work: Path,
    progress: Progress,
    reporter: Reporter,
) -> Parts:
    """The parts that a cycle and a plan have alike. ``lock``: the descriptor of the lock; None for a plan, which then
    exports commits below ``work``, because a cycle may remove the host's own exports at any time."""
    whom = ResolvedFor(digest_of_agent(), settings.inventory, settings.host)
    return Parts(
        paths=paths,
        settings=settings,
        memory=memory,
        mirror=mirror,
        exports=Exports(paths.commits, mirror, scratch=work / "commits" if lock is None else None),
        repositories=repositories_of_host(paths, settings),
        resolved=ResolvedStates(paths.resolved, whom, writes=lock is not None),
        engine=Engine(
            work=work,
            timeout_s=memory.state().fleet.deploy_timeout_s,
            inherit=() if lock is None else (lock,),
            repositories=paths.repositories,
            traced=lock is not None,
            unseal=_unsealer(paths, settings, memory, mirror),
        ),
        journal=Journal(paths.journal),
        ledger=Ledger(paths.ledger),
        events=Events(paths.events),
        reporter=reporter,
        progress=progress,
        clock=clock,
        versions=Versions(paths),
        remote_answers=lambda: answers(Remote.parse(settings.remote), settings.proxy, REMOTE_TIMEOUT_S),
    )


def _unsealer(paths: Paths, settings: Settings, memory: Memory, mirror: Mirror) -> Callable[[Any, Path], Any]:
    @lru_cache
    def unsealer() -> Callable[[Any, Path], Any]:
        from agent.host.admission import further_keys  # not loaded on a host without secrets
        from agent.host.identity import admitted_as, decryption_key
        from agent.secrets.unseal import Unsealer

        def is_admitted(recipient: str) -> bool:
            last = memory.trust().last
            identity = admitted_as(mirror.tree(last), settings.inventory, settings.host) if last is not None else None
            return identity is not None and identity.age == recipient

        own, more = partial(decryption_key, paths.identity), partial(further_keys, paths)
        return Unsealer(own, is_admitted, paths.repositories, paths.credentials, more)

    def unseal(value: Any, root: Path) -> Any:
        return unsealer()(value, root)

    return unseal


def reporter_of_host(paths: Paths, settings: Settings, mirror: Mirror, memory: Memory) -> StatusReporter:
    from agent.host.outbox import outboxes_of_host  # not loaded for a plan, which reports nothing
    from agent.steps.report import StatusReporter

    access = access_of_host(paths, settings, reporting=True)
    return StatusReporter(
        settings=settings,
        memory=memory,
        events=Events(paths.events),
        identity=lambda: identity_of_host(paths, settings),
        outboxes=outboxes_of_host(paths),
        branch=lambda fleet, cache: status_branch(cache, settings, fleet, access),
        tree=mirror.tree,
        clock=clock,
        # A host that follows its own repository asks nobody to admit it: only its own root writes there.
        admission=partial(_admission, paths, settings, mirror) if settings.remote != str(paths.origin) else None,
        request_files=(paths.request, paths.next_identity),
    )


def _admission(paths: Paths, settings: Settings, mirror: Mirror, sha: str | None) -> Admission:
    from agent.host.admission import Admission  # late: most cycles report nothing

    tree = partial(mirror.tree, sha) if sha is not None else lambda: None
    return Admission(paths, settings.inventory, settings.host, tree, clock)


def identity_of_host(paths: Paths, settings: Settings) -> Identity:
    """The key that signs this host's reports; it is made where there is none. Raises SettingsError."""
    from agent.host.identity import Identity  # late: a cycle without news signs nothing

    return Identity.ensure(paths.identity, settings.host)
