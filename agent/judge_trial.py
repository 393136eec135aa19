"""The phases ``judge_trial`` and ``judge_removal``: is the host well with an intended change?

The host has to be well twice: after the change was applied, and after what left Git with it was removed. Then the
change is confirmed. If the host is not well, the digest of the change is remembered as bad, and ``going_back`` takes
the change back.
"""

from __future__ import annotations

from dataclasses import replace

from agent.converge import health_source
from agent.domain.account import Milestone
from agent.domain.outcome import Status
from agent.domain.removal import Pruned
from agent.domain.trial import Trial
from agent.going_back import finish_going_back, take_back
from agent.parts import Parts
from agent.phases import Course, Cycle, TrialVerdict, account_of
from agent.steps import trial as trials


def mark_crashed_attempts(parts: Parts) -> None:
    """Remember the change on trial as bad if it was begun as often as it may be, and never ended."""
    trial = parts.memory.trial()
    if trial is not None and trial.out_of_tries and trial.digest not in parts.memory.bad():
        parts.memory.keep_bad(trials.did_not_end(trial, parts.clock()))


def judge_trial(cycle: Cycle, course: Course) -> TrialVerdict:
    """Look at the health of the host, and judge the intended change, if there was one. If the host is well, the trial
    stays open until what left Git is removed. If the change did harm, the host goes back."""
    verdict = TrialVerdict(course)
    with cycle.log.surviving():
        if course.trial is None:
            source = health_source(cycle, course.state)
            # The trial of this state may be open and not resumed: the host is suspended, and nothing may be judged.
            settled = not source.stopped() and _find_open_trial(cycle, course) is None
            verdict = replace(verdict, health=source.health(), settled=settled)
        elif course.rollback is not None:
            verdict = finish_going_back(cycle, verdict, course.trial)
        else:
            failed, doubtful = trials.broken(course.trial, course.outcome, cycle.parts.memory.state().attempts)
            to_the_end = not trials.settles_at_once(course.outcome)
            verdict = _watch_health(cycle, verdict, course.trial, failed=failed, to_the_end=to_the_end)
            if verdict.harm:
                verdict = _end_trial(cycle, verdict, course.trial, doubtful=doubtful)
    cycle.log.reached(Milestone.JUDGED)
    return verdict


def _find_open_trial(cycle: Cycle, course: Course) -> Trial | None:
    """The open trial, if it is one of the state of ``course``."""
    trial, state = cycle.parts.memory.trial(), course.state
    return trial if trial is not None and state is not None and trial.digest == state.digest else None


def judge_removal(cycle: Cycle, verdict: TrialVerdict, pruned: Pruned | None) -> TrialVerdict:
    """Look at the health of the host without what was removed, and end the trial that was still open. ``pruned``: None
    if removing raised. The verdict has another course if the host went back."""
    course = verdict.course
    if course.rollback is not None or verdict.harm or not verdict.settled or verdict.health is None:
        return verdict
    changed = pruned is None or pruned.changed
    with cycle.log.surviving():
        trial = _find_open_trial(cycle, course)
        if trial is not None and changed:
            failed = pruned.reloaded.failed if pruned is not None else ()
            to_the_end = pruned is None or not trials.removal_settles_at_once(pruned)
            verdict = _watch_health(cycle, verdict, trial, failed=failed, to_the_end=to_the_end)
        elif changed:
            verdict = replace(verdict, health=health_source(cycle, course.state).health())
        if trial is not None:
            verdict = _end_trial(cycle, verdict, trial, pruned)
    return verdict


def _watch_health(
    cycle: Cycle, verdict: TrialVerdict, trial: Trial, *, failed: tuple[str, ...], to_the_end: bool
) -> TrialVerdict:
    """``verdict`` with the health of the settled host, and the signs against the change.

    ``failed``: signs that are known already. ``to_the_end``: True if something may fail a while later, so that the host
    is watched for the whole time. If the cycle is asked to end before that, the next one judges."""
    source = health_source(cycle, verdict.course.state)
    settle_s = 0 if failed else cycle.settle_s  # the change is known to do harm, so there is nothing to wait for
    # Without a state to go back to, nobody would act on a later failure.
    to_the_end = to_the_end and cycle.parts.memory.applied().good_commit is not None
    health, signs = trials.watch_health(trial, source, settle_s=settle_s, to_the_end=to_the_end)
    settled = not source.stopped()
    if not settled:
        # Nobody saw the host settle, so this try does not count.
        cycle.parts.memory.keep_trial(replace(trial, tries=trial.tries - 1))
    return replace(verdict, health=health, harm=(*failed, *signs), settled=settled)


def _end_trial(
    cycle: Cycle,
    verdict: TrialVerdict,
    trial: Trial,
    pruned: Pruned | None = None,
    *,
    doubtful: bool = False,
) -> TrialVerdict:
    """Confirm the change; where it did harm, go back; where it is too early to tell, do neither."""
    memory = cycle.parts.memory
    if not verdict.settled:
        return verdict
    if verdict.harm:
        return take_back(cycle, verdict, trial, account_of(cycle, verdict, pruned), doubtful=doubtful)
    # A deploy that failed has proved nothing, so an earlier doubt about the change stays until the deploy ends well.
    if all(verdict.course.outcome.status(name) is not Status.FAILED for name in trial.touched):
        memory.forgive(trial.digest)
    memory.keep_trial(None)
    return verdict
