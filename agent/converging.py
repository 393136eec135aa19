"""From the state aimed at to a host that is so: plan, permit, apply, confirm; then its trial, and the way back.

An intended change is confirmed when the host is well with it after a while, and again after what left Git with it has
gone. One that did harm is taken back: the last good state is applied again, which brings back what was removed, what
the attempt brought is removed, and its digest is remembered as bad. Where that does not help either, the change may not
be to blame: the verdict is withdrawn and it is tried again later.
"""

from __future__ import annotations

import dataclasses

from agent.aiming import resolved
from agent.domain.account import Account, Rollback, Stage, Trigger
from agent.domain.desired import DesiredState, Mode
from agent.domain.health import Health
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import PermittedPlan, Plan
from agent.domain.trial import Bad, Trial
from agent.parts import Parts
from agent.steps import trial as trials
from agent.steps.apply import apply
from agent.steps.choose import Aim
from agent.steps.confirm import confirm, failures
from agent.steps.gate import OPEN
from agent.steps.leavers import kept_out
from agent.steps.own import settle, wanted_by
from agent.steps.permit import Rules, permit, rules_for
from agent.steps.plan import make_plan
from agent.steps.probe import probe
from agent.steps.prune import Farewell, prune
from agent.steps.reach import Made
from agent.steps.resolve import Resolution
from agent.steps.retreat import retreat
from agent.steps.trial import Senses, left_calm
from agent.steps.verify import recall


def converge(parts: Parts, account: Account, aim: Aim, trigger: Trigger) -> None:
    """Makes the host what ``aim`` says, as far as that is permitted. What it did is in ``account``."""
    state, hold = aim.resolution.state, aim.hold or aim.suspension
    account.hold = hold
    pending = parts.memory.trial()
    if pending is not None and hold is not None and pending.digest in parts.memory.bad():
        # Cut off on the way back: the good state is aimed at already, and the rest of the way comes behind it.
        account.trial = pending
        account.rollback = Rollback(parts.memory.bad()[pending.digest], aim.resolution.commit.sha)
    elif pending is not None and aim.suspension is None and pending.digest == state.digest:
        # Cut off before it was judged. Where nothing is left to apply, that counts as a try as well.
        account.trial = dataclasses.replace(pending, tries=pending.tries + 1)
        parts.memory.keep_trial(account.trial)
    # The way back waits for no window.
    gate = aim.gate if account.rollback is None else OPEN
    account.shut = gate.intended
    # A commit that wants something else may have mended what a failing deploy reads: its time is over.
    same = parts.memory.state().aimed_digest == state.digest
    rules = rules_for(
        state,
        gate=gate,
        suspension=aim.suspension,
        attempts=parts.memory.state().attempts,
        now=parts.clock(),
        patient=trigger is Trigger.CLOCK and same,
    )
    _make_so(parts, account, aim.resolution, rules)


def conclude(parts: Parts, account: Account) -> None:
    """Looks at how the host is. Judges the intended change of this cycle, if there was one, and goes back where it did
    harm; where it is well so far, its trial stays open for what is removed."""
    senses = senses_of(parts, account)
    trial = account.trial
    if trial is None:
        account.health = senses.health()
        account.unsettled = senses.stopped()
    elif account.rollback is not None:
        _come_back(parts, account, trial, account.rollback)
    else:
        _judge(parts, account, trial, senses)
    account.reached(Stage.JUDGED)


def clear(parts: Parts, account: Account, aim: Aim, trigger: Trigger) -> None:
    """Removes what has left Git, on the trial of the commit that it left with."""
    last = account.trusted or aim.resolution.commit
    account.pruned = prune(
        account,
        before=parts.memory.applied(),
        idle=aim.resolution.environment.idle(),
        memory=parts.memory.state(),
        ledger=parts.ledger,
        farewell=Farewell(
            parts.engine, parts.exports, parts.mirror, parts.progress, last.sha, parts.settings.inventory
        ),
        now=parts.clock(),
        patient=trigger is Trigger.CLOCK,
        begin=lambda: _begin_removal(parts, account),
    )
    account.failures.extend(account.pruned.failures)
    account.reached(Stage.PRUNED)


def finish(parts: Parts, account: Account) -> bool:
    """Ends the trial of a change that was well until something was removed: watches again where that was so. Returns
    whether the host went back."""
    pruned, trial = account.pruned, account.trial
    if account.rollback is not None or account.harm or account.unsettled or account.health is None:
        return False
    removed = pruned is None or pruned.changed
    senses = senses_of(parts, account)
    if trial is None:
        if removed:
            account.health = senses.health()
        return False
    reasons: tuple[str, ...] = ()
    if removed:
        failed = pruned.told.failed if pruned is not None else ()
        to_the_end = pruned is None or not left_calm(pruned)
        reasons = _watched(parts, account, trial, senses, failed=failed, to_the_end=to_the_end)
    return _verdict(parts, account, trial, reasons, doubtful=False)


def unended(parts: Parts) -> None:
    """An attempt that has not ended as often as one may is bad from now on."""
    trial = parts.memory.trial()
    if trial is not None and trial.hopeless and trial.digest not in parts.memory.bad():
        parts.memory.keep_bad(trials.did_not_end(trial, parts.clock()))


def senses_of(parts: Parts, account: Account) -> Senses:
    """How the host is looked at, with the checks of what ``account`` aims at by then."""

    def health() -> Health:
        deploys = account.state.deploys if account.state is not None else ()
        enforced = [deploy for deploy in deploys if deploy.mode is Mode.ENFORCE]
        return probe(parts.paths.var, account.forgiven, tuple(check for deploy in enforced for check in deploy.health))

    return Senses(
        health=health,
        remote=parts.remote_answers,
        stopped=lambda: parts.engine.stopped,
        waiting=parts.progress.settling,
        sleep=parts.sleep,
        monotonic=parts.monotonic,
    )


def _make_so(parts: Parts, account: Account, resolution: Resolution, rules: Rules) -> None:
    applied = parts.memory.applied()
    before = account.applied or applied.deploys
    state, account.state = resolution.state, resolution.state
    root = parts.exports.folder(resolution.commit)

    made = Made()

    def plan_now() -> Plan:
        interrupted = parts.journal.interrupted(state.enforced)
        return make_plan(state, engine=parts.engine, root=root, applied=before, interrupted=interrupted, made=made)

    def apply_now(permitted: PermittedPlan, part: DesiredState, only: frozenset[tuple[str, str]] | None) -> Outcome:
        return apply(
            permitted,
            part,
            engine=parts.engine,
            root=root,
            rules=rules,
            applied=before,
            journal=parts.journal,
            ledger=parts.ledger,
            progress=parts.progress,
            clock=parts.clock,
            made=made,
            only=only,
        )

    account.plan = plan_now()
    made.foresee(account.plan)
    account.permitted = permit(account.plan, rules)
    account.reached(Stage.PERMITTED)
    if not account.permitted.allowed:
        account.after = account.plan
    else:
        # Where the way back failed, the host remembers of what is in doubt that it was applied: it is on trial again.
        again = state.digest in parts.memory.bad()
        if (account.permitted.intends or again) and account.rollback is None:
            parts.reporter.attempting(account)
            if account.trial is None and state.digest != applied.good:
                account.trial = trials.begin(
                    state,
                    account.permitted,
                    applied=before,
                    senses=senses_of(parts, account),
                    again=again,
                    now=parts.clock(),
                )
                parts.memory.keep_trial(account.trial)
        account.outcome = apply_now(account.permitted, state, None)
        account.after = plan_now()
        if behind := _set_off(state, account.outcome, account.after, made):
            # By a deploy whose turn was later, or within its own: what a change sets off belongs to it.
            names = {name for name, _ in behind}
            part = dataclasses.replace(state, deploys=tuple(each for each in state.deploys if each.name in names))
            account.outcome = account.outcome.then(apply_now(permit(account.after, rules), part, behind))
            account.after = plan_now()
        if account.trial is not None and account.rollback is None:
            account.trial = trials.widened(account.trial, state, account.outcome)
            parts.memory.keep_trial(account.trial)
    account.applied = confirm(state, account.after, account.outcome, before)
    settle(parts.ledger, state, account.outcome, account.after, account.applied, now=parts.clock())


def _set_off(state: DesiredState, outcome: Outcome, after: Plan, made: Made) -> frozenset[tuple[str, str]]:
    """What is still wanted ``after`` only because of what this cycle changed, by deploy and resource; also of a new
    deploy, where that was as wanted when its turn came. Nothing where a change of Git did not end well: then it is not
    the time to go on."""
    intended = {planned.deploy for planned in outcome.found if planned.intends}
    ended = {deploy.status for deploy in outcome.deploys if deploy.deploy in intended}
    if ended & {Status.FAILED, Status.STOPPED, Status.SKIPPED}:
        return frozenset()
    done = {(result.deploy, result.resource) for deploy in outcome.deploys for result in deploy.results}
    had_their_turn = {planned.deploy for planned in outcome.found if planned.in_sync}
    resources = (
        (deploy.name, each) for deploy in state.deploys if deploy.name in had_their_turn for each in deploy.resources
    )
    stirred = {(name, each.key) for name, each in resources if made.sets_off(each)}
    wanted = {(each.deploy, each.resource): each.set_off for each in after.changes}
    return frozenset(key for key, why in wanted.items() if why or key in stirred) - done


def _judge(parts: Parts, account: Account, trial: Trial, senses: Senses) -> None:
    failed, doubtful = trials.broken(trial, account.outcome, parts.memory.state().attempts)
    to_the_end = not trials.is_calm(account.outcome)
    if reasons := _watched(parts, account, trial, senses, failed=failed, to_the_end=to_the_end):
        _verdict(parts, account, trial, reasons, doubtful=doubtful)


def _watched(
    parts: Parts, account: Account, trial: Trial, senses: Senses, *, failed: tuple[str, ...], to_the_end: bool
) -> tuple[str, ...]:
    """What speaks against the change by the time that the host has settled; nothing where the cycle is to end before:
    then the next one judges it."""
    settle_s = 0 if failed else _settle_s(parts, account)  # what has failed need not be waited for
    # Where there is nothing to go back to, well is well: nobody would act on what falls a while later.
    to_the_end = to_the_end and parts.memory.applied().good_commit is not None
    account.health, signs = trials.watch(trial, senses, settle_s=settle_s, to_the_end=to_the_end)
    account.harm = (*failed, *signs)
    account.unsettled = senses.stopped()
    if account.unsettled:
        # Nobody has seen it settle: this try does not count.
        parts.memory.keep_trial(dataclasses.replace(trial, tries=trial.tries - 1))
        return ()
    return account.harm


def _verdict(parts: Parts, account: Account, trial: Trial, reasons: tuple[str, ...], *, doubtful: bool) -> bool:
    """Ends the trial, and returns whether the host went back."""
    memory = parts.memory
    if account.unsettled:
        return False
    if not reasons:
        # What did not come to be has shown nothing: a doubt stays until it has.
        if all(account.outcome.status(name) is not Status.FAILED for name in trial.touched):
            memory.forgive(trial.digest)
        memory.keep_trial(None)
        return False
    good = _last_good(parts, account)
    if good is None or good.state.digest == trial.digest:
        account.failures.append(trials.nothing_to_go_back_to(trial.commit, "; ".join(reasons)))
        memory.keep_trial(None)
        return False
    earlier = memory.bad().get(trial.digest)
    times = earlier.times + 1 if earlier is not None else 1
    bad = Bad(trial.digest, trial.commit, parts.clock(), "; ".join(reasons), times=times)
    memory.keep_bad(bad.in_doubt(parts.clock()) if doubtful else bad)
    _come_back(parts, account, trial, _go_back(parts, account, good, memory.bad()[bad.digest]))
    return True


def _begin_removal(parts: Parts, account: Account) -> None:
    """Puts what is about to be removed on the trial of its commit, also where nothing else of that changes the host.
    What has waited until its commit is the good one is on none: there is nothing older to go back to."""
    state, health = account.state, account.health
    if state is None or health is None:
        return
    if account.trial is None:
        if state.digest == parts.memory.applied().good:
            return
        parts.reporter.attempting(account)
    account.trial = trials.removing(account.trial, state, health, remote=parts.remote_answers, now=parts.clock())
    parts.memory.keep_trial(account.trial)


def _go_back(parts: Parts, account: Account, good: Resolution, bad: Bad) -> Rollback:
    """Applies the last good state again, whatever windows and suspensions say."""
    attempted = dataclasses.replace(account, failures=[*account.failures], times={**account.times})
    account.rollback = rollback = Rollback(bad, good.commit.sha, attempted)
    account.hold = bad.hold
    account.outcome, account.pruned = Outcome(), None
    # What the attempt left wanting is no habit of the state that the host goes back to.
    known = parts.memory.applied().deploys
    account.applied = {
        name: dataclasses.replace(
            entry, not_idempotent=tuple(key for key in entry.not_idempotent if key in _habits(known.get(name)))
        )
        for name, entry in account.applied.items()
    }
    rules = rules_for(good.state, suspension=None, attempts={}, now=parts.clock(), patient=False)
    _make_so(parts, account, good, rules)
    helpless = rollback.failed_alike(account.outcome)
    for failure in failures(account):
        account.failures.append(failure if helpless else trials.rollback_failed(bad, good.commit.sha, failure.message))
    return rollback


def _habits(applied: AppliedDeploy | None) -> tuple[str, ...]:
    return applied.not_idempotent if applied is not None else ()


def _come_back(parts: Parts, account: Account, trial: Trial, rollback: Rollback) -> None:
    """Removes what the attempt brought, and looks whether going back has helped."""
    bad = rollback.bad
    if account.state is not None and account.after is not None:
        wanted = wanted_by(account.state, account.after, account.applied)
        done = retreat(parts.ledger, account.state, since=trial.at, wanted=wanted, attempted=rollback.attempted)
        rollback = dataclasses.replace(rollback, removed=done.removed, stays=done.stays)
    account.reached(Stage.WENT_BACK)
    senses = senses_of(parts, account)
    account.health, reasons = trials.watch(trial, senses, settle_s=_settle_s(parts, account), to_the_end=False)
    if (reasons or rollback.failed_alike(account.outcome)) and not bad.forlorn:
        bad = bad.in_doubt(parts.clock())
        parts.memory.keep_bad(bad)
        account.hold = bad.hold
    account.rollback = dataclasses.replace(rollback, bad=bad)
    account.failures.append(trials.rolled_back(bad, rollback.to))
    parts.memory.keep_trial(None)


def _last_good(parts: Parts, account: Account) -> Resolution | None:
    sha = parts.memory.applied().good_commit
    last = account.trusted.sha if account.trusted is not None else parts.memory.trust().last
    if sha is None or last is None:
        return None
    good = resolved(parts, recall(sha, mirror=parts.mirror, last=last))
    attempted = account.state or good.state
    return dataclasses.replace(good, state=kept_out(good.state, attempted))


def _settle_s(parts: Parts, account: Account) -> int:
    return (account.fleet or parts.memory.state().fleet).settle_s
