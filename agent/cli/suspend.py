"""suspend and resume: whether this host may be touched."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from agent.cli.arguments import APPLY_WAIT_S, require_root, until
from agent.cli.output import Output
from agent.control import ask
from agent.domain.memory import Suspension
from agent.domain.text import SECOND, moment
from agent.errors import SettingsError, UsageError
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.state import Memory


def suspend(output: Output, *, reason: str, duration: str | None) -> int:
    require_root()
    now = int(time.time())
    end = until(duration, now)
    if not reason.strip():
        raise UsageError("a suspension needs a reason", hint="hostwright suspend 'disk is being replaced' --for 4h")
    paths = Paths()
    Memory(paths).keep_suspension(Suspension(reason.strip(), now, end))
    # A cycle that has already begun does not know of it; when this returns, nothing touches the host any more.
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        pass
    ends = "until `hostwright resume`" if end is None else f"until {moment(end, SECOND)}"
    output.say(f"suspended {ends}: this host is looked at and reported, and not touched")
    _report_soon(paths)
    output.envelope("suspend", 0, {"reason": reason.strip(), "until": end})
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
