"""The daemon's instructions until the next cycle. A cycle begins to collect them at its start, and writes them down at
its end."""

from __future__ import annotations

from contextlib import suppress

from agent.domain.account import Account
from agent.domain.codec import to_plain
from agent.domain.question import UnsteadyError
from agent.host.paths import Paths
from agent.parts import Parts
from agent.steps.rest import own_questions, rests_until
from agent.trace import rest as rests
from agent.trace.answers import trace, unsteady
from agent.trace.remote import offered
from agent.trace.rest import Rest


def begin_trace(paths: Paths) -> str:
    """Return the trace of the files that a cycle itself goes by, such as the settings. To be called when it begins. The
    host counts as not at rest from now until ``keep_rest``."""
    paths.rest.unlink(missing_ok=True)
    try:
        return trace(own_questions(paths))
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
        rest.ask = parts.mirror.asking(parts.settings.remote, tags=bool(fleet.accept.tags))
        rest.offered = offered(account.fetched.listed)
        if account.state is not None and (checks := account.state.checks):
            from agent.checks.ask import command  # not loaded on a host without checks

            rest.probe, rest.checks = command(checks, parts.paths.rest), to_plain(checks)
        traces = [own, *(deploy.trace for deploy in deploys)]
    with suppress(OSError):  # without room in /run the host is not at rest
        rests.write(parts.paths.rest, rest, "".join(traces))
