"""judge_trial: turns an intended change into a confirmed one, or takes it back.

An intended change is confirmed when the host is well with it after a while, and again after what left Git with it has
gone. One that did harm is taken back: the last good state is applied again, which brings back what was removed, what
the attempt brought is removed, and its digest is remembered as bad. Where that does not help either, the change may not
be to blame: the verdict is withdrawn and it is tried again later.
"""

from __future__ import annotations

import dataclasses

from agent.converge import health_source, make_so
from agent.domain.account import Account, Milestone, Rollback, Trigger
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.trial import Bad, Trial
from agent.parts import Parts
from agent.select_target import resolved
from agent.steps import trial as trials
from agent.steps.choose import Target
from agent.steps.confirm import failures
from agent.steps.lock_out import kept_out
from agent.steps.permit import permit_rules
from agent.steps.prune import OnRemoveRunner, prune
from agent.steps.record import wanted_by
from agent.steps.resolve import Resolution
from agent.steps.roll_back import roll_back
from agent.steps.trial import HealthSource, removal_settles_at_once
from agent.steps.verify import recall


def judge_trial(parts: Parts, account: Account) -> None:
    """Looks at how the host is. Judges the intended change of this cycle, if there was one, and goes back where it did
    harm; where it is well so far, its trial stays open for what is removed."""
    senses = health_source(parts, account)
    trial = account.trial
    if trial is None:
        account.health = senses.health()
        account.unsettled = senses.stopped()
    elif account.rollback is not None:
        _come_back(parts, account, trial, account.rollback)
    else:
        _judge(parts, account, trial, senses)
    account.reached(Milestone.JUDGED)


def remove_what_left(parts: Parts, account: Account, aim: Target, trigger: Trigger) -> None:
    """Removes what has left Git, on the trial of the commit that it left with."""
    last = account.trusted or aim.resolution.commit
    account.pruned = prune(
        account,
        before=parts.memory.applied(),
        idle=aim.resolution.environment.idle(),
        memory=parts.memory.state(),
        ledger=parts.ledger,
        farewell=OnRemoveRunner(
            parts.engine, parts.exports, parts.mirror, parts.progress, last.sha, parts.settings.inventory
        ),
        now=parts.clock(),
        waits_for_backoff=trigger is Trigger.CLOCK,
        begin=lambda: _begin_removal(parts, account),
    )
    account.failures.extend(account.pruned.failures)
    account.reached(Milestone.PRUNED)


def judge_removal(parts: Parts, account: Account) -> bool:
    """Ends the trial of a change that was well until something was removed: watches again where that was so. Returns
    whether the host went back."""
    pruned, trial = account.pruned, account.trial
    if account.rollback is not None or account.harm or account.unsettled or account.health is None:
        return False
    removed = pruned is None or pruned.changed
    senses = health_source(parts, account)
    if trial is None:
        if removed:
            account.health = senses.health()
        return False
    reasons: tuple[str, ...] = ()
    if removed:
        failed = pruned.told.failed if pruned is not None else ()
        to_the_end = pruned is None or not removal_settles_at_once(pruned)
        reasons = _watched(parts, account, trial, senses, failed=failed, to_the_end=to_the_end)
    return _verdict(parts, account, trial, reasons, doubtful=False)


def mark_crashed_attempts(parts: Parts) -> None:
    """An attempt that has not ended as often as one may is bad from now on."""
    trial = parts.memory.trial()
    if trial is not None and trial.out_of_tries and trial.digest not in parts.memory.bad():
        parts.memory.keep_bad(trials.did_not_end(trial, parts.clock()))


def _judge(parts: Parts, account: Account, trial: Trial, senses: HealthSource) -> None:
    failed, doubtful = trials.broken(trial, account.outcome, parts.memory.state().attempts)
    to_the_end = not trials.settles_at_once(account.outcome)
    if reasons := _watched(parts, account, trial, senses, failed=failed, to_the_end=to_the_end):
        _verdict(parts, account, trial, reasons, doubtful=doubtful)


def _watched(
    parts: Parts, account: Account, trial: Trial, senses: HealthSource, *, failed: tuple[str, ...], to_the_end: bool
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
    account.trial = trials.begin_removal_trial(
        account.trial, state, health, remote=parts.remote_answers, now=parts.clock()
    )
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
    rules = permit_rules(good.state, suspension=None, attempts={}, now=parts.clock(), waits_for_backoff=False)
    make_so(parts, account, good, rules)
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
        done = roll_back(parts.ledger, account.state, since=trial.at, wanted=wanted, attempted=rollback.attempted)
        rollback = dataclasses.replace(rollback, removed=done.removed, stays=done.stays)
    account.reached(Milestone.WENT_BACK)
    senses = health_source(parts, account)
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
