"""ledger: the resources that the agent created or adopted; `restore` gives one back."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click

from agent.cli.giving_back import give_back_one
from agent.cli.invocation import APPLY_WAIT_S, CliGroup, Reply
from agent.cli.output import Output
from agent.domain.near import near
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Origin
from agent.domain.text import DAY, moment
from agent.errors import UsageError
from agent.host.ledger import Ledger
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.steps.record import with_implied

_SHOWN = 5
"""Near keys named in the complaint about an unknown one."""


@click.group(cls=CliGroup, invoke_without_command=True)
def ledger() -> None:
    """Show what of this host the agent created or adopted."""


@ledger.command()
def show(output: Output, paths: Paths) -> Reply:
    """The same."""
    entries = Ledger(paths.ledger).entries()
    if entries:
        output.show_table(("KEY", "ORIGIN", "STANDING", "DEPLOY", "SINCE"), map(_row, entries))
    else:
        output.say("the ledger is empty: the agent has changed nothing on this host yet")
    return Reply([_document(entry) for entry in entries])


@ledger.command()
@click.argument("key")
def restore(output: Output, paths: Paths, key: str) -> Reply:
    """Give one thing back as it was: what was adopted gets its old state, what was created goes, changed since or not.

    What a deploy still wants would come back with the next cycle, so that is refused: take it out of Git first.
    While the host is suspended it is done all the same; the first cycle after `resume` brings it back.
    """
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        entries = Ledger(paths.ledger)
        entry = entries.entry(key)
        if entry is None:
            raise UsageError(f"the ledger has no {key}", hint=_near(key, (known.key for known in entries.entries())))
        _require_unwanted(entry, Memory(paths))
        give_back_one(entry, entries)
    done = "is gone" if entry.origin is Origin.CREATED else "is as it was before the agent first changed it"
    output.say(f"{key} {done}; the ledger has forgotten it")
    return Reply(_document(entry), command="ledger restore")


def _require_unwanted(entry: LedgerEntry, memory: Memory) -> None:
    """Raise UsageError if the next cycle would bring the thing of ``entry`` back, or the agent itself needs it."""
    if entry.deploy == BOOTSTRAP:
        raise UsageError(f"the agent needs {entry.key} itself", hint="`hostwright uninstall` gives it back")
    if memory.suspension(int(time.time())) is not None:
        return
    wanting = sorted(
        name
        for name, applied in memory.applied().deploys.items()
        if entry.key in with_implied((*applied.resources, *applied.owned))
    )
    if wanting:
        raise UsageError(
            f"{wanting[0]} still wants {entry.key}: the next cycle would bring it back",
            hint="take it out of Git first; or `hostwright suspend REASON`, until then nothing comes back",
        )


def _near(key: str, known: Iterable[str]) -> str:
    names = list(known)
    meant = near(key, names, _SHOWN) or [name for name in names if key in name][:_SHOWN]
    return f"near ones: {', '.join(meant)}" if meant else "`hostwright ledger` lists what it has"


def _row(entry: LedgerEntry) -> tuple[str, ...]:
    standing = f"{entry.standing.value}: {entry.reason}" if entry.reason else entry.standing.value
    return entry.key, entry.origin.value, standing, entry.deploy, moment(entry.at, DAY)


def _document(entry: LedgerEntry) -> dict[str, object]:
    """The entry for programs, without its state before the agent, which may be private."""
    return {
        "key": entry.key,
        "origin": entry.origin.value,
        "standing": entry.standing.value,
        "reason": entry.reason,
        "deploy": entry.deploy,
        "since": entry.at,
    }
