"""The daemon's instructions until the next cycle. A cycle begins to collect them at its start, and writes them down at
its end: until when the clock alone gives a cycle nothing to do, and what the daemon asks until then.

In doubt the host is not at rest; then the next cycle comes after the shortest interval of its schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from agent.domain.account import Account
from agent.domain.check import CHECK_KINDS
from agent.domain.codec import to_plain
from agent.domain.memory import State
from agent.domain.question import Question, QuestionKind, UnsteadyError
from agent.errors import Exit
from agent.host.paths import Paths
from agent.parts import Parts
from agent.system.host import REBOOT_MARKS
from agent.trace import rest as rests
from agent.trace.answers import trace, unsteady
from agent.trace.rest import Rest, offered

NEVER = 2**40
"""Seconds since the epoch, for a rest that only another answer of the host or the remote ends."""


def begin_trace(paths: Paths) -> str:
    """Return the trace of the files that a cycle itself goes by, such as the settings. To be called when it begins. The
    host counts as not at rest from now until ``keep_rest``."""
    paths.rest.unlink(missing_ok=True)
    try:
        return trace(_own_questions(paths))
    except UnsteadyError as error:
        return unsteady(f"{error}")


def keep_rest(parts: Parts, account: Account, own: str) -> None:
    """Write down what the daemon asks until the next cycle, and for how long. ``own``: from ``begin_trace``.

    Raises HostwrightError for documents that cannot be read."""
    state, now = parts.memory.state(), parts.clock()
    fleet = account.fleet or state.fleet
    on_trial = parts.memory.trial() is not None or parts.paths.previous.is_symlink()
    until = rests_until(account, state, on_trial=on_trial, next_report=parts.reporter.next_report(account), now=now)
    traces = []
    deploys = account.after.deploys if account.after is not None else ()
    until = until if all(deploy.trace for deploy in deploys) else 0
    rest = Rest(until, fetch_s=fleet.fetch_s, drift_s=fleet.drift_s, plan_s=fleet.plan_s, watch=fleet.watch)
    if rest.until and account.fetched is not None:
        rest.remote_command = parts.mirror.asking(parts.settings.remote, tags=bool(fleet.accept.tags))
        rest.offered = offered(account.fetched.listed)
        if account.state is not None and (checks := account.state.checks):
            from agent.checks.ask import command  # not loaded on a host without checks

            rest.checks_command, rest.checks = command(checks, parts.paths.rest), to_plain(checks)
        traces = [own, *(deploy.trace for deploy in deploys)]
    with suppress(OSError):  # without room in /run the host is not at rest
        rests.write(parts.paths.rest, rest, "".join(traces))


def rests_until(account: Account, state: State, *, on_trial: bool, next_report: int, now: int) -> int:
    """Return the moment, in seconds since the epoch, at which the clock alone gives a cycle something to do; 0 where
    the host is not at rest. Pure.

    ``state``: the state of the host after this cycle. ``on_trial``: True if a change or a version of the agent is on
    trial. ``next_report``: the moment at which the next report is due.
    """
    holds = [hold for hold in (account.hold, account.shut, *account.ending_holds) if hold is not None]
    busy = (
        account.exit is not Exit.FINE,
        account.fetched is None or account.state is None,
        account.after is None or not account.after.in_sync,
        account.pruned is None or account.pruned.failures or account.pruned.leaving.due or account.pruned.stayed,
        account.rollback is not None or account.unsettled or on_trial or account.switched,
        account.reboot is not None and account.reboot.hold is None,
        account.health is None,
        # The daemon may ask only these, and a person wants to know soon of a check that fails.
        account.state is not None and not all(CHECK_KINDS[check.kind].only_looks for check in account.state.checks),
        bool(state.attempts),
        any(hold.until is None for hold in account.ending_holds),
    )
    if any(busy):
        return 0
    until = min([next_report, *(hold.until for hold in holds if hold.until is not None)], default=NEVER)
    return until if until > now else 0


def _own_questions(paths: Paths) -> Iterator[Question]:
    """Yield the questions about what a cycle depends on besides Git and the deploys: settings, anchors, keys, what a
    person said on this host, units that have failed, a reboot that is needed."""
    files = (paths.settings, paths.trusted_signers, paths.known_hosts, paths.deploy_key, paths.status_key)
    said = (paths.document("suspended"), paths.document("pinned"))
    yield from (Question(QuestionKind.PATH, f"{path}") for path in (*files, *said, *REBOOT_MARKS))
    yield Question(QuestionKind.FAILED_UNITS)
