"""Commands that run on a managed host. Each turns plain arguments into text and an exit code."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from agent import wiring
from agent.cli.arguments import APPLY_WAIT_S, require_root, until
from agent.cli.output import Output, error_document
from agent.cli.show import AccountView, newest_line, plan_lines
from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.domain.memory import Pinned
from agent.domain.plan import Cause, Hold
from agent.domain.removal import Departure, Leaving, Removal
from agent.errors import DeployError, Exit, UsageError, first_exit
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.parts import Named
from agent.planning import Foreseen, foreseen


def cycle(output: Output) -> int:
    """What the daemon starts: one cycle, and never two."""
    return _one_cycle(output, Trigger.CLOCK, wait_s=0)


def apply(output: Output, *, wait: bool, commit: str | None, stay: bool, duration: str | None) -> int:
    """The same for a person: it waits for the lock, shows progress, and does not wait for a backoff to end. With
    ``commit`` the host goes to that one, and with ``stay`` it does not go on from there."""
    named = None
    if commit is not None:
        now = int(time.time())
        named = Named(Pinned(_in_full(commit), now, until(duration, now)), stay)
    elif stay:
        raise UsageError("--hold needs to know where", hint="hostwright apply --commit SHA --hold")
    if duration is not None and not stay:
        raise UsageError("--for says how long to hold", hint="hostwright apply --commit SHA --hold --for 4h")
    return _one_cycle(output, Trigger.PERSON, wait_s=APPLY_WAIT_S if wait else 0, named=named)


def _in_full(commit: str) -> str:
    """All 40 digits of a commit that is named by its first seven or more, as every other command shows it."""
    if re.fullmatch("[0-9a-f]{40}", commit):
        return commit
    if not re.fullmatch("[0-9a-f]{7,39}", commit):
        raise UsageError(f"--commit {commit!r} is no commit", hint="give its first 7 hex digits or more")
    paths = Paths()
    with closing(wiring.mirror_of_host(paths, read_settings(paths))) as mirror:
        found = mirror.beginning(commit)
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} commits begin with {commit} on this host",
            hint="give all 40 hex digits: git rev-parse SHORT, in a clone",
        )
    return found[0]


def plan(output: Output, *, diff: bool) -> int:
    """Plans the commit that the last cycle aimed at. Takes no lock and writes nothing but scratch files."""
    return _show(output, "plan", planned(), diff=diff, calm="in sync with commit")


def drift(output: Output, *, diff: bool) -> int:
    """The same plan, and of it only what the host moved away from what was applied."""
    before = planned()
    found = before.plan
    deploys = [
        dataclasses.replace(deploy, changes=tuple(change for change in deploy.changes if change.cause is Cause.DRIFT))
        for deploy in found.deploys
        if deploy.unknown is None
    ]
    moving = {deploy.deploy for deploy in deploys if deploy.changes}
    moved = dataclasses.replace(
        before,
        plan=dataclasses.replace(found, deploys=tuple(deploys)),
        holds={name: hold for name, hold in before.holds.items() if name in moving},
        leaving=Leaving(),
        newest=None,
    )
    return _show(output, "drift", moved, diff=diff, calm="no drift from commit")


def planned() -> Foreseen:
    """What the commit that the last cycle aimed at would change now, and take away when that is done."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="hostwright-plan-") as work:
        return foreseen(Paths(), Path(work))


def _show(output: Output, command: str, told: Foreseen, *, diff: bool, calm: str) -> int:
    found, leaving = told.plan, told.leaving
    wanted = [change for change in found.changes if change.cause is not Cause.NOT_IDEMPOTENT]
    pending = bool(wanted) or leaving.due or any(deploy.unknown is not None for deploy in found.deploys)
    errors = [
        DeployError(f"{deploy.deploy} cannot be planned: {deploy.error}") for deploy in found.deploys if deploy.error
    ]
    for line in plan_lines(found, leaving, told.holds, diff=diff, calm=calm, whole=output.verbose):
        output.show(line)
    if told.newest is not None:
        output.show(newest_line(*told.newest))
    for error in errors:
        output.say(f"hostwright: {error.message}")
    codes = [error.exit for error in errors] + ([Exit.CHANGES] if pending else [])
    code = int(first_exit(codes))
    output.envelope(
        command,
        code,
        {
            "host": told.state.host,
            "commit": found.commit,
            "digest": found.digest,
            "deploys": [dataclasses.asdict(deploy) for deploy in found.deploys],
            "holds": {name: _hold_document(hold) for name, hold in told.holds.items()},
            "newest": {"commit": told.newest[0], "why": told.newest[1]} if told.newest is not None else None,
            "removals": [_removal_document(removal) for removal in leaving.removals],
            "departures": [_departure_document(departure) for departure in leaving.departures],
        },
        error_document(errors[0]) if errors else None,
    )
    return code


def _removal_document(removal: Removal) -> dict[str, object]:
    return {
        "resource": removal.entry.key,
        "deploy": removal.entry.deploy,
        "fate": removal.fate.value,
        "reason": removal.reason,
        "hold": _hold_document(removal.hold),
    }


def _departure_document(departure: Departure) -> dict[str, object]:
    """But for what it finds in ``host.data``: that may be private."""
    source = departure.on_remove.source
    return {"deploy": departure.deploy, "on_remove": source, "hold": _hold_document(departure.hold)}


def _hold_document(hold: Hold | None) -> dict[str, object] | None:
    return dataclasses.asdict(hold) if hold is not None else None


def _one_cycle(output: Output, who: Trigger, *, wait_s: float, named: Named | None = None) -> int:
    require_root()
    paths = Paths()
    view = AccountView(output)
    with locked(paths.lock, wait_s=wait_s) as descriptor:
        parts = wiring.parts_of_host(paths, lock=descriptor, progress=view.progress, named=named)
        # The engine finishes the operation it is in and ends; what it did is confirmed, remembered and reported.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda *_: parts.engine.stop())
        broken_off = first_interrupt(parts.engine.stop)
        account = run(parts, who)
    view.conclude(account)
    code = int(Exit.INTERRUPTED if broken_off.is_set() else account.exit)
    cause = account.cause if code == account.exit else None
    output.envelope(
        "apply" if who is Trigger.PERSON else "cycle",
        code,
        _document(account),
        error_document(cause) if cause is not None else None,
    )
    return code


def first_interrupt(stop: Callable[[], None]) -> threading.Event:
    """^C does what SIGTERM does: a package manager that is killed half way leaves more work than it saves. The second
    ^C is obeyed at once. Whether there was one."""
    came = threading.Event()

    def finish(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        came.set()
        stop()
        os.write(2, b"hostwright: finishing what has begun; ^C again breaks it off\n")

    signal.signal(signal.SIGINT, finish)
    return came


def _document(account: Account) -> dict[str, object]:
    return {
        "commit": account.state.commit if account.state else None,
        "digest": account.state.digest if account.state else None,
        "whole": account.whole,
        "deploys": [dataclasses.asdict(deploy) for deploy in account.outcome.deploys],
        "problems": [error_document(failure) for failure in account.failures],
        "health": dataclasses.asdict(account.health) if account.health else None,
    }
