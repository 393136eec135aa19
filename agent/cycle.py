"""The agent on one page: one cycle, phase by phase. Start reading here.

A cycle is a row of phases. Each phase returns one value:

    select_target ─Selection→ plan_changes ─Planned→ begin_change ─Trial→ apply_changes ─Outcome→
    confirm_changes ─Converged→ judge_trial ─TrialVerdict→ remove_unwanted ─Pruned→ judge_removal ─TrialVerdict→
    plan_ending ─Ending

The ``Cycle`` has the ``Selection``, for all phases behind the first. The values from ``Planned`` to ``Converged``
travel together, as a ``Course``: ``converge`` returns it, ``judge_trial`` takes it, and each ``TrialVerdict`` holds it.
If nothing but drift is repaired, there is no ``Trial``: ``judge_trial`` then only looks at the health of the host.

1. ``select_target`` fetches the config repo, and selects the target: the state that the host should have now.
2. ``converge`` calls the next four phases, which bring the host to the target. A trial begins before the first change
   that Git intends. ``begin_change`` also reports that this change is about to be made.
3. ``judge_trial`` looks whether the host is well with the change. ``remove_unwanted`` then removes what has left Git,
   and ``judge_removal`` looks once more. If the host is well both times, the change is confirmed. If it is not, the
   cycle goes back: it calls the four phases again, for the last good state.
4. ``plan_ending`` decides whether the host reboots, or the agent switches to another version of itself.
5. The cycle makes its account from all these values, remembers it, and reports it. At last it reboots or switches.

Phases call steps, the modules of ``agent.steps``. ``agent.wiring`` makes the parts that steps work on. ``agent.phases``
lists the phases and the states of a trial as data, and has the values that phases return.

A phase that fails changes nothing more. Without the remote, the cycle goes on with the newest trusted commit that the
host has. If that commit cannot be used, the host stays on the one aimed at before. The cycle reports in any case.
"""

from __future__ import annotations

from dataclasses import replace

from agent.brief_daemon import begin_trace, keep_rest
from agent.converge import converge
from agent.domain.account import Account, Log, Trigger
from agent.domain.deploy_errors import deploy_errors
from agent.ending import finish_update, plan_ending, reboot_if_due
from agent.errors import HostwrightError
from agent.judge_trial import judge_removal, judge_trial, mark_crashed_attempts
from agent.parts import Parts
from agent.phases import Course, Cycle, Selection, TrialVerdict, account_of
from agent.remove_unwanted import remove_unwanted
from agent.select_target import select_target
from agent.steps.evidence import evidence_of
from agent.steps.probe import probe
from agent.steps.remember import remember
from agent.steps.webhook_service import ensure_webhook_service


def run(parts: Parts, trigger: Trigger) -> Account:
    """Run one whole cycle and return its account, with all failures in it. The caller holds the lock."""
    log, own = Log(parts.clock), ""
    with log.surviving():
        own = begin_trace(parts.paths)
    log.note(parts.healed)
    if parts.unusable is not None:
        return _report_only(Cycle(parts, trigger, log, Selection()), parts.unusable)
    with log.surviving():
        mark_crashed_attempts(parts)
    cycle = Cycle(parts, trigger, log, select_target(parts, log))
    course = converge(cycle)
    log.note(deploy_errors(account_of(cycle, TrialVerdict(course))))
    verdict = judge_trial(cycle, course)
    pruned = remove_unwanted(cycle, verdict)
    judged = judge_removal(cycle, verdict, pruned)
    if judged.course is not verdict.course:  # the host went back, so that other things have left what is wanted now
        pruned = remove_unwanted(cycle, judged)
    verdict = judged
    ending = plan_ending(cycle, account_of(cycle, verdict, pruned))
    account = _end(cycle, account_of(cycle, verdict, pruned, ending))
    with log.surviving():
        keep_rest(parts, account, own)
    return replace(account, failures=(*log.failures,))


def _end(cycle: Cycle, account: Account) -> Account:
    """Remember and report the account of the phases. Then reboot the host, or switch the agent. Return the account of
    the whole cycle."""
    parts, log = cycle.parts, cycle.log
    with log.surviving():
        account = replace(account, evidence=evidence_of(account, parts.paths))
    with log.surviving():
        remember(
            account,
            memory=parts.memory,
            journal=parts.journal,
            exports=parts.exports,
            resolved=parts.resolved,
            repositories=parts.repositories,
            events=parts.events,
            commands=parts.paths.commands,
            now=parts.clock(),
        )
    with log.surviving():
        parts.mirror.keep_recent()
    with log.surviving():
        ensure_webhook_service(parts.memory.state().fleet.webhook)
    with log.surviving():
        log.note(parts.reporter.report(replace(account, failures=(*log.failures,))))
    with log.surviving():
        reboot_if_due(parts, account)
    account = replace(account, failures=(*log.failures,))
    with log.surviving():
        # Remembered once more: only now is it known whether the report was sent.
        why = account.cause
        cause = (why.kind, why.message, why.hint) if why is not None else ("", "", "")
        parts.memory.keep_state(replace(parts.memory.state(), exit=int(account.exit), cause=cause))
    switched = False
    with log.surviving():
        switched = finish_update(parts, account, cycle.trigger)
    return replace(account, switched=switched, failures=(*log.failures,))


def _report_only(cycle: Cycle, why: HostwrightError) -> Account:
    """Report the health of a host on which nothing can be written down now, and ``why``. Change nothing."""
    parts, log, verdict = cycle.parts, cycle.log, TrialVerdict(Course())
    log.note([why])
    with log.surviving():
        health = probe(parts.paths.var, parts.memory.state().failed_at_first or ())
        verdict = replace(verdict, health=health)
    account = account_of(cycle, verdict)
    with log.surviving():
        log.note(parts.reporter.report(account))
    return replace(account, failures=(*log.failures,))
