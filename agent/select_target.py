"""From the remote to the state to make true now: fetch, verify, resolve, choose."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from agent.domain.account import Log, Milestone
from agent.domain.commit import Accept, BranchRule, Commit, TrustedCommit, TrustMode
from agent.domain.memory import FleetSettings, TrustRecord
from agent.domain.plan import Hold, HoldKind
from agent.domain.resolution import Resolution
from agent.domain.sightings import Sightings
from agent.domain.trial import Trial
from agent.host.state import Memory
from agent.parts import Parts
from agent.phases import Selection
from agent.steps.choose import Target, choose, suspension
from agent.steps.fetch import fetch
from agent.steps.freeze import revoked
from agent.steps.gate import OPEN, Gate, gate
from agent.steps.meant import followed, seen_before, sight
from agent.steps.probe import failed_at_first
from agent.steps.trial import nothing_to_go_back_to
from agent.steps.verify import recall, recall_last, verify
from agent.system.timezone import zone


def select_target(parts: Parts, log: Log) -> Selection:
    """The newest trusted commit, what it says of this host, and the target."""
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
    """The newest commit, or the one that a person named; the commit to stay on while something holds that one, or it
    cannot be used."""
    held = _frozen(parts, log) or _suspension(parts, newest)
    candidate, pinned = None, None
    if selection.trusted is not None:
        with log.surviving():
            candidate, pinned = _as_named(parts, selection.trusted, newest)
    bad, shut, begun = known_as_bad(parts, candidate), _gate(parts, selection), _begun(parts)
    current = None
    if candidate is None or any(hold is not None for hold in (held, bad, shut.intended)):
        commit = _commit_to_stay_on(parts, bad, begun)
        if selection.trusted is not None and commit is not None:
            with log.surviving():
                current = resolved(parts, recall(commit, mirror=parts.mirror, last=selection.trusted.sha))
        if current is not None:
            held = held or _suspension(parts, current)
        elif bad is not None and candidate is not None:
            log.note([nothing_to_go_back_to(candidate.commit.sha, bad.reason)])
    target = choose(current, candidate, suspension=held, bad=bad, gate=shut, pinned=pinned)
    if target is not None and begun is not None and target.resolution.state.digest == begun.digest:
        return replace(target, gate=OPEN)  # what was cut off half way is brought to its end
    return target


def _commit_to_stay_on(parts: Parts, bad: Hold | None, begun: Trial | None) -> str | None:
    """The commit that the host goes back to from a ``bad`` one; else the one whose trial has ``begun``; else the one
    aimed at before. That may not be applied as a whole, but going further back would undo work."""
    applied = parts.memory.applied()
    if bad is not None:
        return applied.good_commit
    if begun is not None:
        return begun.commit
    return parts.memory.state().aimed_commit or applied.commit


def _newest_trusted(parts: Parts, log: Log, record: TrustRecord) -> tuple[Commit | None, TrustedCommit | None]:
    """The commit that was fetched, and the newest one that is trusted: the same, or the one trusted last, if any."""
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
    """The commit that a person named, now or to stay on, and that hold; ``newest`` where nobody did. Raises
    TrustError for one that is not in the history of what is trusted; then it is not stayed on either."""
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
    """The hold on the whole host where the signer of the commit trusted last is no longer trusted."""
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
    """The resolution of ``commit`` for this host: as it is remembered, or read now and remembered from then on."""
    known = parts.resolved.recall(commit)
    if known is not None:
        for pin in known.terms.repositories:  # what is run from there has to be there, and whole
            parts.repositories.tree(pin)
        return known
    from agent.steps.resolve import resolve  # the readers of YAML and templates take longer to load than all else

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
    """The commits that this host takes as new behind the trusted commit ``since``."""
    known = parts.resolved.find(since) if since is not None else None
    if known is not None:
        return known.terms.fleet.accept
    from agent.steps.accept import accepted  # as in ``resolved``

    return accepted(parts.mirror, parts.settings.inventory, parts.memory.state().fleet.accept, since)


def known_as_bad(parts: Parts, candidate: Resolution | None) -> Hold | None:
    """The hold on a state that did harm, or is in doubt."""
    found = parts.memory.bad().get(candidate.state.digest) if candidate is not None else None
    return found.hold if found is not None and found.holds(parts.clock()) else None


def _begun(parts: Parts) -> Trial | None:
    """An intended change that was cut off before it was judged, and is not given up."""
    trial = parts.memory.trial()
    return trial if trial is not None and trial.digest not in parts.memory.bad() else None


def _gate(parts: Parts, selection: Selection) -> Gate:
    """The gate of this cycle: open where a person named a commit, for that means now."""
    if parts.named is not None:
        return OPEN
    return gate_of(parts.memory, selection.fleet or parts.memory.state().fleet, parts.clock())


def gate_of(memory: Memory, fleet: FleetSettings, now: int) -> Gate:
    """The gate by the windows of ``fleet``. A host that was never as wanted is not in service yet: there it is open."""
    applied = memory.applied()
    if applied.commit is None and not applied.served and memory.state().pruned is None:
        return OPEN
    return gate(fleet.windows, budget_s=fleet.budget_s, now=now, zone=zone)


def _suspension(parts: Parts, resolution: Resolution | None) -> Hold | None:
    now = parts.clock()
    return suspension(parts.memory.suspension(now), resolution.terms if resolution is not None else None, now)
