"""Secrets between the agent and its engine child: those that a deploy lacks, and messages without their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.domain.outcome import OperationResult
from agent.domain.plan import Hold, HoldKind, WantedChange
from agent.domain.sealed import contains_sealed
from agent.engine.protocol import Done, FoundDeploy, Message, Operated, Started
from agent.system import mask
from agent.trace.answers import unescaped, unsigned


class Lacking(Exception):
    """A deploy needs a secret that this host lacks. ``admitted``: False where the host is not admitted."""

    def __init__(self, reason: str, *, admitted: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.admitted = admitted

    def hold(self, key: str = "") -> Hold:
        """The hold on the deploy, or on the resource ``key`` alone."""
        kind = HoldKind.LACKING if self.admitted else HoldKind.NOT_ADMITTED
        return Hold(kind, f"{key}: {self.reason}" if key else self.reason)


def nothing_sealed(value: Any, root: Path) -> Any:
    """``value``. Raises Lacking where a part of it is sealed."""
    del root
    if contains_sealed(value):
        raise Lacking("nobody here can read secrets")
    return value


def passwords_apart(
    arguments: Mapping[str, Any], unseal: Callable[[Any], Any]
) -> tuple[Mapping[str, Any], Mapping[str, Hold]]:
    """The arguments of ``users``, unsealed account by account, and the holds on accounts that lack a secret, by key.
    Such an account has no hash: it keeps its password, or is made without one. Raises Lacking for a secret in other
    arguments."""
    accounts: dict[str, Any] = {}
    lacking: dict[str, Hold] = {}
    for name, account in arguments["accounts"].items():
        try:
            accounts[name] = unseal(account)
        except Lacking as error:
            lacking[f"user:{name}"] = error.hold(f"user:{name}")
            accounts[name] = {**account, "password_hash": None}
    others = {key: value for key, value in arguments.items() if key != "accounts"}
    return {**unseal(others), "accounts": accounts}, lacking


def masked_message(message: Message) -> Message:
    """``message`` without values of secrets in texts for people. Keys are not masked: the child does that itself."""
    if not mask.values():
        return message
    match message:
        case FoundDeploy(changes=changes, error=error):
            return replace(message, changes=tuple(map(_masked_change, changes)), error=error and mask.masked(error))
        case Done(error=error):
            return replace(message, error=mask.masked(error))
        case Started(operation=operation):
            return replace(message, operation=mask.masked(operation))
        case Operated(results=results):
            return replace(message, results=tuple(map(_masked_result, results)))
        case _:
            return message


def _masked_result(result: OperationResult) -> OperationResult:
    operation, output, error = (mask.masked(text) for text in (result.operation, result.output, result.error))
    return replace(result, operation=operation, output=output, error=error)


def _masked_change(change: WantedChange) -> WantedChange:
    diff = change.diff and mask.masked(change.diff)
    private = change.private or diff != change.diff
    return replace(change, operation=mask.masked(change.operation), diff=diff, private=private)


def public_trace(deploy: str, trace: str) -> str:
    """Return the lines of a trace without those whose subject holds a secret's value. For these there is one line that
    leaves the look to the next full plan."""
    if not mask.values():
        return trace
    lines = [line for line in trace.split("\n") if line]
    public = [line for line in lines if not _is_private(line)]
    whole = "".join(f"{line}\n" for line in public)
    return whole if len(public) == len(lines) else whole + unsigned(f"{deploy}: it asks about a secret")


def _is_private(line: str) -> bool:
    """True if the subject holds a secret's value that is no mere word. Answers are not searched: they are times,
    numbers and facts that the host shows to all its users, and could hold a short value by chance."""
    _, _, asked = line.encode("latin-1", errors="replace").partition(b"\t")
    subject, _, _ = asked.rpartition(b"\t")
    return mask.contains_value(unescaped(subject).decode(errors="surrogateescape"))
