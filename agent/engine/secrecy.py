"""Secrets between the agent and its engine child: what a deploy lacks, and what the child says without their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.domain.outcome import OperationResult
from agent.domain.plan import Hold, HoldKind, WantedChange
from agent.domain.sealed import holds_sealed
from agent.engine.protocol import Done, FoundDeploy, Message, Operated, Started
from agent.system import mask
from agent.trace.answers import unescaped, unsigned


class Lacking(Exception):
    """A secret that a deploy needs and that cannot be had. ``admitted``: False where the host is not admitted."""

    def __init__(self, reason: str, *, admitted: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.admitted = admitted

    def hold(self, key: str = "") -> Hold:
        """What it holds: a deploy, or the resource ``key`` alone."""
        kind = HoldKind.LACKING if self.admitted else HoldKind.NOT_ADMITTED
        return Hold(kind, f"{key}: {self.reason}" if key else self.reason)


def nothing_sealed(value: Any, root: Path) -> Any:
    """``value``, in which nothing may be sealed. Raises Lacking."""
    del root
    if holds_sealed(value):
        raise Lacking("nobody here can read secrets")
    return value


def passwords_apart(
    arguments: Mapping[str, Any], unseal: Callable[[Any], Any]
) -> tuple[Mapping[str, Any], Mapping[str, Hold]]:
    """The arguments of ``users``, unsealed account by account, and by the keys of accounts, what lacks of them.
    Without its hash an account keeps its password, or is made without one. Raises Lacking for the other arguments."""
    accounts: dict[str, Any] = {}
    lacking: dict[str, Hold] = {}
    for name, account in arguments["accounts"].items():
        try:
            accounts[name] = unseal(account)
        except Lacking as error:
            lacking[f"user:{name}"] = error.hold(f"user:{name}")
            accounts[name] = {**account, "password_hash": None}
    rest = {key: value for key, value in arguments.items() if key != "accounts"}
    return {**unseal(rest), "accounts": accounts}, lacking


def masked_message(message: Message) -> Message:
    """``message`` without values of secrets in what people are told. Keys stay: the child masks its own."""
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
    """Return the lines of a trace that ask about no secret's value; whatever the others ask about waits for a plan."""
    if not mask.values():
        return trace
    lines = [line for line in trace.split("\n") if line]
    public = [line for line in lines if not _is_private(line)]
    whole = "".join(f"{line}\n" for line in public)
    return whole if len(public) == len(lines) else whole + unsigned(f"{deploy}: it asks about a secret")


def _is_private(line: str) -> bool:
    """Whether the subject holds a value that is no mere word. Answers are times, numbers and what the host shows all
    its users; a number or a word of two or three letters would be in one by chance."""
    _, _, asked = line.encode("latin-1", errors="replace").partition(b"\t")
    subject, _, _ = asked.rpartition(b"\t")
    return mask.holds_value(unescaped(subject).decode(errors="surrogateescape"))
