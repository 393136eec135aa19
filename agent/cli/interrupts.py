"""Signals that end a command, turned into an exception, so that it can take back what it has begun."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from agent.errors import Exit, HostwrightError
from agent.problems import ProblemKind

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Interrupted(HostwrightError):
    exit = Exit.INTERRUPTED
    default_kind = ProblemKind.INTERRUPTED


@contextmanager
def interruptible(hint: str) -> Iterator[None]:
    """Raise Interrupted inside at the first SIGHUP, SIGINT or SIGTERM; ignore later ones. SIGHUP stays ignored if it
    was (nohup)."""

    def interrupt(number: int, _: object) -> None:
        for each in watched:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(f"interrupted by {signal.Signals(number).name}", hint=hint)

    watched = {each: signal.getsignal(each) for each in _ENDING}
    if watched[signal.SIGHUP] is signal.SIG_IGN:
        del watched[signal.SIGHUP]
    for each in watched:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, before in watched.items():
            signal.signal(each, before)
