"""cycle: one cycle, and never two."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import click

from agent import wiring
from agent.cli.invocation import CliCommand, Reply, require_root
from agent.cli.output import Output, error_document
from agent.cli.show import AccountView
from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.errors import Exit
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.versions import Versions
from agent.parts import Named


@click.command(cls=CliCommand)
def cycle(output: Output) -> Reply:
    """Run one cycle as the daemon does: failed deploys wait for their next try."""
    return one_cycle(output, Trigger.CLOCK, wait_s=0)


def one_cycle(output: Output, who: Trigger, *, wait_s: float, named: Named | None = None) -> Reply:
    require_root()
    paths = Paths()
    view = AccountView(output)
    with locked(paths.lock, wait_s=wait_s) as descriptor:
        if (successor := Versions(paths).successor()) is not None:
            # The last cycle switched to another version of the agent. A cycle by this one would count as one by that.
            output.say("this host runs another version of the agent now: going on as that one")
            os.execv(successor, (f"{successor}", *sys.argv[1:]))  # noqa: S606  # our own program
        parts = wiring.parts_of_host(paths, lock=descriptor, progress=view.progress, named=named)
        # The engine finishes its operation and ends; the agent confirms, remembers and reports what was done.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda *_: parts.engine.stop())
        broken_off = first_interrupt(parts.engine.stop)
        account = run(parts, who)
    view.conclude(account)
    code = int(Exit.INTERRUPTED if broken_off.is_set() else account.exit)
    cause = account.cause if code == account.exit else None
    return Reply(_document(account), code, [cause] if cause is not None else ())


def first_interrupt(stop: Callable[[], None]) -> threading.Event:
    """Let the first ^C call ``stop``, as SIGTERM does, and the second one interrupt. Return an event that the first one
    sets. The first does not interrupt because a package manager that is killed half way leaves a broken host."""
    came = threading.Event()

    def finish(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        came.set()
        stop()
        with suppress(OSError):  # the reader of stderr may be gone
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
