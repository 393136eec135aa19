"""The phase ``select_target``: fetch the config repo, verify the commit, resolve it, and choose the target from it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from agent.domain.account import Log, Milestone
from agent.domain.commit import Accept, BranchRule, Commit, TrustedCommit, TrustMode
from agent.domain.desired import DesiredState
from agent.domain.memory import FleetSettings, TrustRecord
from agent.domain.plan import Hold, HoldKind
from agent.domain.resolution import Resolution
from agent.domain.sightings import Sightings
from agent.domain.trial import Trial
from agent.domain.window import OPEN, Gate, gate
from agent.host.state import Memory
from agent.parts import Parts
from agent.phases import Selection
from agent.steps.choose import Target, choose, suspension
from agent.steps.fetch import fetch
from agent.steps.freeze import revoked
from agent.steps.meant import followed, seen_before, sight
from agent.steps.probe import failed_at_first
from agent.steps.trial import nothing_to_go_back_to
from agent.steps.verify import accepted, recall, recall_last, verify
from agent.system.timezone import zone


def select_target(parts: Parts, log: Log) -> Selection:
    """Fetch, and return the newest trusted commit, its terms for this host, and the target. Failures go to ``log``."""
    selection, newest = Selection(), None
    with log.surviving():
        units = failed_at_first(parts.memory.state().failed_at_first)
        selection = replace(selection, failed_at_first=units)
    with log.surviving():
        fetched, trusted = _newest_trusted(parts, log, parts.memory.trust())
        selection = replace(selection, fetched=fetched, trusted=trusted)
        if trusted is not None:
            with log.surviving():
                newest = resolved(parts, trusted)
                selection = replace(selection, fleet=newest.terms.fleet, left_out=newest.terms.left_out)
                selection = replace(selection, agent=newest.terms.agent_pin())
        selection = replace(selection, target=_target(parts, log, selection, newest))
        log.reached(Milestone.AIMED)
    return selection


def _target(parts: Parts, log: Log, selection: Selection, newest: Resolution | None) -> Target | None:
    """The target: the newest trusted commit, or the one that a person named. If something holds that one, or it cannot
    be used, the commit to stay on. None if no commit can be used. ``newest``: the resolution of the newest commit."""
    held = _frozen(parts, log) or _suspension(parts, newest)
    candidate, pinned = None, None
    if selection.trusted is not None:
        with log.surviving():
            candidate, pinned = _as_named(parts, selection.trusted, newest)
    bad, gate_now, begun = known_as_bad(parts, candidate), _gate(parts, selection), _begun(parts)
    if candidate is not None and bad is None:
        _forgive_corrected(parts, candidate.state)
    current = None
    if candidate is None or any(hold is not None for hold in (held, bad, gate_now.intended)):
        commit = _commit_to_stay_on(parts, bad, begun)
        if selection.trusted is not None and commit is not None:
            with log.surviving():
                current = resolved(parts, recall(commit, mirror=parts.mirror, last=selection.trusted.sha))
        if current is not None:
            held = held or _suspension(parts, current)
        elif bad is not None and candidate is not None:
            log.note([nothing_to_go_back_to(candidate.commit.sha, bad.reason)])
    target = choose(current, candidate, suspension=held, bad=bad, gate=gate_now, pinned=pinned)
    if target is not None and begun is not None and target.resolution.state.digest == begun.digest:
        return replace(target, gate=OPEN)  # no window holds up a change that was cut off half way
    return target


def _commit_to_stay_on(parts: Parts, bad: Hold | None, begun: Trial | None) -> str | None:
    """The commit to stay on: the last good one, if the newest is ``bad``; else the one whose trial has ``begun``; else
    the one aimed at before. That one may be half applied, but going further back would undo work. None without one."""
    applied = parts.memory.applied()
    if bad is not None:
        return applied.good_commit
    if begun is not None:
        return begun.commit
    return parts.memory.state().aimed_commit or applied.commit


def _newest_trusted(parts: Parts, log: Log, record: TrustRecord) -> tuple[Commit | None, TrustedCommit | None]:
    """The tip of the branch, and the newest trusted commit: one behind the last, or else the one trusted last. Each
    None without one. ``record``: the one trusted last. Failures go to ``log``."""
    fetched: Commit | None = None
    trusted: TrustedCommit | None = None
    rule = parts.memory.state().fleet.accept.branch
    known = parts.memory.sightings()
    if known is not None and known.followed != followed(parts.settings):
        known = Sightings(followed(parts.settings))
    with log.surviving():
        fetched = fetch(parts.mirror, parts.settings, record, partial(accepted_behind, parts))
        trusted = verify(
            fetched,
            mirror=parts.mirror,
            inventory=parts.settings.inventory,
            mode=parts.settings.trust,
            record=record,
            accepts=partial(accepted_behind, parts),
            min_commit=parts.settings.min_commit,
            anchors=parts.paths.trusted_signers,
            now=parts.clock(),
            branch=parts.settings.branch,
            seen=seen_before(known, fetched.others, in_service=record.last is not None),
        )
        parts.mirror.keep(trusted.sha)
        if trusted.sha != record.last:
            parts.memory.keep_trust(record.after(trusted, parts.clock()))
    asks = parts.settings.trust is TrustMode.SIGNED and rule is BranchRule.UNSEEN
    if asks and fetched is not None:
        with log.surviving():
            before = known or Sightings(followed(parts.settings))
            since = trusted.sha if trusted is not None else record.last
            parts.memory.keep_sightings(sight(before, fetched.others, mirror=parts.mirror, since=since))
    if trusted is None and record.last is not None:
        trusted = recall_last(record, record.last, mirror=parts.mirror)
    return fetched, trusted


def _as_named(parts: Parts, trusted: TrustedCommit, newest: Resolution | None) -> tuple[Resolution | None, Hold | None]:
    """The commit that a person named, for this cycle or to stay on, and the hold for it; ``newest`` and None where
    nobody named one. Raises TrustError for a commit that is not in the trusted history; it is not stayed on then."""
    named = parts.named.commit if parts.named is not None else parts.memory.pinned(parts.clock())
    if named is None:
        return newest, None
    found = resolved(parts, recall(named.commit, mirror=parts.mirror, last=trusted.sha))
    if parts.named is not None:
        parts.memory.keep_pinned(named if parts.named.stay else None)
    if named.commit == trusted.sha:
        return found, None
    stays = parts.named is None or parts.named.stay
    why = "a person said so on this host" if stays else "a person asked for it; the next cycle goes on to the newest"
    return found, Hold(HoldKind.PINNED, f"on {named.commit[:12]}, not on the newest commit: {why}", named.until)


def _frozen(parts: Parts, log: Log) -> Hold | None:
    """The hold on the whole host if the signer of the commit trusted last is no longer trusted; else None."""
    with log.surviving():
        error = revoked(
            parts.memory.trust(),
            mirror=parts.mirror,
            inventory=parts.settings.inventory,
            mode=parts.settings.trust,
            anchors=parts.paths.trusted_signers,
            now=parts.clock(),
        )
        if error is not None:
            log.note([error])
            return Hold(HoldKind.SIGNER_REVOKED, error.message)
    return None


def resolved(parts: Parts, commit: TrustedCommit) -> Resolution:
    """The resolution of ``commit`` for this host. It is read from the commit once, and remembered. Raises
    HostwrightError where it cannot be read, or a repository that it needs cannot be had."""
    known = parts.resolved.recall(commit)
    if known is not None:
        for pin in known.terms.repositories:  # the files of its deploys have to be here, and whole
            parts.repositories.tree(pin)
        return known
    from agent.steps.resolve import resolve  # late: the readers of YAML and templates take longer to load than all else

    resolution = resolve(
        commit,
        parts.mirror.tree(commit.sha),
        inventory=parts.settings.inventory,
        host=parts.settings.host,
        repositories=parts.repositories.tree,
    )
    parts.resolved.keep(resolution)
    return resolution


def accepted_behind(parts: Parts, since: str | None) -> Accept:
    """The rules by which this host takes commits behind ``since``, the one trusted last, as new. None: it has none."""
    known = parts.resolved.find(since) if since is not None else None
    if known is not None:
        return known.terms.fleet.accept
    return accepted(parts.mirror, parts.settings.inventory, parts.memory.state().fleet.accept, since)


def known_as_bad(parts: Parts, candidate: Resolution | None) -> Hold | None:
    """The hold on a state that did harm or is in doubt; None for any other."""
    found = parts.memory.bad().get(candidate.state.digest) if candidate is not None else None
    if candidate is None or found is None or not found.rests_on(candidate.state):
        return None
    return found.hold if found.is_current(parts.clock()) else None


def _forgive_corrected(parts: Parts, state: DesiredState) -> None:
    """Forget the verdict on ``state`` if the checks that it rests on were corrected: the state is judged anew."""
    verdict = parts.memory.bad().get(state.digest)
    if verdict is not None and not verdict.rests_on(state):
        parts.memory.forgive(state.digest)


def _begun(parts: Parts) -> Trial | None:
    """The trial of a change that was cut off before it was judged, and that is not bad; None without one."""
    trial = parts.memory.trial()
    return trial if trial is not None and trial.digest not in parts.memory.bad() else None


def _gate(parts: Parts, selection: Selection) -> Gate:
    """The gate of this cycle: by the windows of the host; open if a person named a commit, which is to be applied
    now."""
    if parts.named is not None:
        return OPEN
    return gate_of(parts.memory, selection.fleet or parts.memory.state().fleet, parts.clock())


def gate_of(memory: Memory, fleet: FleetSettings, now: int) -> Gate:
    """The gate by the windows of ``fleet``. Open on a host that was never in the wanted state: it is not in service
    yet."""
    applied = memory.applied()
    if applied.commit is None and not applied.served and memory.state().pruned is None:
        return OPEN
    return gate(fleet.windows, budget_s=fleet.budget_s, now=now, zone=zone)


def _suspension(parts: Parts, resolution: Resolution | None) -> Hold | None:
    now = parts.clock()
    return suspension(parts.memory.suspension(now), resolution.terms if resolution is not None else None, now)
