"""From the state aimed at to a host that is so: plan, permit, apply, confirm."""

from __future__ import annotations

import dataclasses

from agent.domain.account import Account, Milestone, Rollback, Trigger
from agent.domain.desired import DesiredState, Mode
from agent.domain.health import Health
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import PermittedPlan, Plan
from agent.parts import Parts
from agent.steps import trial as trials
from agent.steps.apply import apply
from agent.steps.choose import Target
from agent.steps.confirm import confirm
from agent.steps.gate import OPEN
from agent.steps.permit import PermitRules, permit, permit_rules
from agent.steps.plan import make_plan
from agent.steps.probe import probe
from agent.steps.reach import Made
from agent.steps.record import record_result
from agent.steps.resolve import Resolution
from agent.steps.trial import HealthSource


def converge(parts: Parts, account: Account, aim: Target, trigger: Trigger) -> None:
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
    rules = permit_rules(
        state,
        gate=gate,
        suspension=aim.suspension,
        attempts=parts.memory.state().attempts,
        now=parts.clock(),
        waits_for_backoff=trigger is Trigger.CLOCK and same,
    )
    make_so(parts, account, aim.resolution, rules)


def health_source(parts: Parts, account: Account) -> HealthSource:
    """How the host is looked at, with the checks of what ``account`` aims at by then."""

    def health() -> Health:
        deploys = account.state.deploys if account.state is not None else ()
        enforced = [deploy for deploy in deploys if deploy.mode is Mode.ENFORCE]
        return probe(parts.paths.var, account.forgiven, tuple(check for deploy in enforced for check in deploy.health))

    return HealthSource(
        health=health,
        remote=parts.remote_answers,
        stopped=lambda: parts.engine.stopped,
        waiting=parts.progress.settling,
        sleep=parts.sleep,
        monotonic=parts.monotonic,
    )


def make_so(parts: Parts, account: Account, resolution: Resolution, rules: PermitRules) -> None:
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
    account.reached(Milestone.PERMITTED)
    if not account.permitted.allowed:
        account.after = account.plan
    else:
        # Where the way back failed, the host remembers of what is in doubt that it was applied: it is on trial again.
        again = state.digest in parts.memory.bad()
        if (account.permitted.intends or again) and account.rollback is None:
            parts.reporter.attempting(account)
            if account.trial is None and state.digest != applied.good:
                account.trial = trials.begin_trial(
                    state,
                    account.permitted,
                    applied=before,
                    senses=health_source(parts, account),
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
    record_result(parts.ledger, state, account.outcome, account.after, account.applied, now=parts.clock())


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
