"""rest: turns the account of a cycle into the moment until which another cycle would find nothing to do, as long as the
host and the remote say the same.

In doubt the host is not at rest; then the next cycle comes after the shortest interval of its schedule.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.domain.account import Account
from agent.domain.check import CHECK_KINDS
from agent.domain.memory import State
from agent.domain.question import Question, QuestionKind
from agent.errors import Exit
from agent.host.paths import Paths
from agent.system.host import REBOOT_MARKS

NEVER = 2**40
"""Seconds since the epoch, for a rest that only another answer of the host or the remote ends."""


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


def own_questions(paths: Paths) -> Iterator[Question]:
    """Yield the questions about what a cycle depends on besides Git and the deploys: settings, anchors, keys, what a
    person said on this host, units that have failed, a reboot that is needed."""
    files = (paths.settings, paths.trusted_signers, paths.known_hosts, paths.deploy_key, paths.status_key)
    said = (paths.document("suspended"), paths.document("pinned"))
    yield from (Question(QuestionKind.PATH, f"{path}") for path in (*files, *said, *REBOOT_MARKS))
    yield Question(QuestionKind.FAILED_UNITS)
