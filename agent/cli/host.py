"""Commands that run on a managed host. Each turns plain arguments into text and an exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent import wiring
from agent.cli.output import Output, error_document
from agent.cli.show import AccountView, newest_line, plan_lines
from agent.control import ask
from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.domain.duration import seconds
from agent.domain.event import Event
from agent.domain.memory import Pinned, Suspension
from agent.domain.plan import Cause, Hold
from agent.domain.removal import Departure, Leaving, Removal
from agent.domain.text import SECOND, moment
from agent.errors import DeployError, Exit, HostwrightError, SettingsError, UsageError, first_exit
from agent.host.events import Events
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.parts import Named
from agent.planning import Foreseen, foreseen

APPLY_WAIT_S = 600.0
"""How long `apply` waits for a running cycle; longer than most, shorter than a person's patience."""

DIFF_LINES = 20
"""Of a diff among events; a file that was created is no news line by line."""

TRIGGER_WAIT_S = 4 * 3600.0


def cycle(output: Output) -> int:
    """What the daemon starts: one cycle, and never two."""
    return _one_cycle(output, Trigger.CLOCK, wait_s=0)


def apply(output: Output, *, wait: bool, commit: str | None, stay: bool, duration: str | None) -> int:
    """The same for a person: it waits for the lock, shows progress, and does not wait for a backoff to end. With
    ``commit`` the host goes to that one, and with ``stay`` it does not go on from there."""
    named = None
    if commit is not None:
        if not re.fullmatch("[0-9a-f]{40}", commit):
            raise UsageError(f"--commit {commit!r} is no commit", hint="give all 40 hex digits: git rev-parse SHORT")
        now = int(time.time())
        named = Named(Pinned(commit, now, _until(duration, now)), stay)
    elif stay:
        raise UsageError("--hold needs to know where", hint="hostwright apply --commit SHA --hold")
    if duration is not None and not stay:
        raise UsageError("--for says how long to hold", hint="hostwright apply --commit SHA --hold --for 4h")
    return _one_cycle(output, Trigger.PERSON, wait_s=APPLY_WAIT_S if wait else 0, named=named)


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


def events(output: Output, *, count: int) -> int:
    require_root()
    found = Events(Paths().events).last(count)
    for event in found:
        output.show(_event_text(event, whole=output.verbose))
    output.envelope("events", 0, [dataclasses.asdict(event) for event in found])
    return 0


def trigger(output: Output, *, wait: bool) -> int:
    require_root()
    answer = ask(Paths().control, wait=wait, timeout_s=TRIGGER_WAIT_S if wait else 10.0)
    if answer.get("ok") is not True:
        raise SettingsError(f"the daemon refused: {answer.get('error', 'no reason given')}", kind="no-daemon")
    code = answer.get("exit", 0)
    if not isinstance(code, int):
        raise SettingsError("nobody can tell how the cycle ended", kind="no-daemon", hint="hostwright events")
    output.say(f"the cycle ended with exit code {code}" if wait else "the daemon will start a cycle now")
    error = _why(Memory(Paths()), code) if code else None
    if error is not None:
        output.problem(error)
    output.envelope("trigger", code, answer, error_document(error) if error is not None else None)
    return code


def _why(memory: Memory, code: int) -> HostwrightError:
    """What the exit code of the last cycle stands for, as far as that cycle lived to write it down."""
    state = memory.state()
    kind, message, hint = state.cause if state.exit == code else ("", "", "")
    if not message:
        kind, message = "unknown", "the cycle ended before it could write down why"
        hint = "`journalctl -u hostwright-cycle` has its last words"
    error = HostwrightError(message, kind=kind, hint=hint)
    error.exit = Exit(code) if code in list(Exit) else Exit.BUG
    return error


def suspend(output: Output, *, reason: str, duration: str | None) -> int:
    require_root()
    now = int(time.time())
    until = _until(duration, now)
    if not reason.strip():
        raise UsageError("a suspension needs a reason", hint="hostwright suspend 'disk is being replaced' --for 4h")
    paths = Paths()
    Memory(paths).keep_suspension(Suspension(reason.strip(), now, until))
    # A cycle that has already begun does not know of it; when this returns, nothing touches the host any more.
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        pass
    ends = "until `hostwright resume`" if until is None else f"until {moment(until, SECOND)}"
    output.say(f"suspended {ends}: this host is looked at and reported, and not touched")
    _report_soon(paths)
    output.envelope("suspend", 0, {"reason": reason.strip(), "until": until})
    return 0


def resume(output: Output) -> int:
    require_root()
    paths, now = Paths(), int(time.time())
    memory = Memory(paths)
    was = _said(lambda: memory.suspension(now))
    stayed = _said(lambda: memory.pinned(now))
    memory.keep_suspension(None)
    memory.keep_pinned(None)
    if stayed:
        output.say("resumed: the next cycle goes on to the newest commit")
    else:
        output.say("resumed: the next cycle applies again" if was else "this host was not suspended")
    _report_soon(paths)
    output.envelope("resume", 0, {"was_suspended": was, "was_held": stayed})
    return 0


def _report_soon(paths: Paths) -> None:
    """Asks the daemon for a cycle, so that others learn of it now. Without a daemon the next cycle tells them."""
    with contextlib.suppress(SettingsError):
        ask(paths.control, wait=False, timeout_s=10.0)


def _said(read: Callable[[], object]) -> bool:
    try:
        return read() is not None
    except SettingsError:
        # Nobody can read what was said any more, and now it does not matter.
        return True


def _until(duration: str | None, now: int) -> int | None:
    try:
        return None if duration is None else now + seconds(duration)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error


def uninstall(output: Output, *, keep: bool, yes: bool) -> int:
    require_root()
    from agent.cli.uninstall import agreed, exec_last, packages_told
    from agent.cli.uninstall import uninstall as remove

    if sys.stdin.isatty() and not yes and not output.as_json and not agreed(Paths(), output, keep=keep):
        output.say("nothing was changed")
        return Exit.INTERRUPTED
    gone = remove(Paths(), keep=keep, talk=output.say)
    for line in gone.stayed:
        output.say(f"stays   {line}")
    for line in gone.failed:
        output.say(f"failed  {line}")
    error = SettingsError(
        f"{len(gone.failed)} could not be given back or removed",
        hint="the lines above name them; see to them by hand",
    )
    data = {"stayed": gone.stayed, "failed": gone.failed}
    fine = output.enveloped("uninstall", 0, data)
    failed = output.enveloped("uninstall", int(Exit.SETTINGS), data, error_document(error))
    if gone.failed:
        output.say(f"hostwright: {error.message}")
        output.say(f"  → {error.hint}")
    else:
        output.say("the agent is gone" if keep else "the host is given back and the agent is gone")
    code = int(Exit.SETTINGS if gone.failed else Exit.FINE)
    if gone.last:
        output.say(f"taking away {packages_told(gone.own)}, last")
        output.flush()
        exec_last(gone.last, code, failed if gone.failed else fine, failed)
    output.write(failed if gone.failed else fine)
    return code


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


def _event_text(event: Event, *, whole: bool) -> str:
    where = " ".join(part for part in (event.deploy, event.resource) if part)
    first, *more = event.message.splitlines() or [""]
    head = f"{moment(event.at, SECOND)}  {event.kind:<20} {where + ': ' if where else ''}{first}"
    lines = [*more, *(event.diff or "").splitlines()]
    if len(lines) > DIFF_LINES and not whole:
        lines = [*lines[:DIFF_LINES], f"… {len(lines) - DIFF_LINES} more lines: hostwright -v events"]
    return "\n".join([head, *(f"    {line}" for line in lines)])


def require_root() -> None:
    """Raises UsageError for everybody else."""
    if os.geteuid() != 0:
        raise UsageError("this command needs root", hint="run it with sudo")
