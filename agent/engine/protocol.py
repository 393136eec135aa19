"""The lines between the agent and its engine child: messages to JSON lines and back, strictly.

    parent                                      child
                                          ←     ready {unconfined}                       of a plan's child alone
    begin {root, temp, deploys, traced}   →
                                          ←     found {deploy, changes, resources, error, unowned, trace, …}
    execute {resources}, or skip          →                                              none where there is an error
                                          ←     started {deploy, resource, operation}    for each that begins
                                          ←     operated {results}                       of some made together
                                          ←     done {deploy, status, error}             after execute

Deploy by deploy, in order. A child that is asked to stop ends between two deploys with ``STOPPED_STATUS``.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.outcome import OperationResult, Status
from agent.domain.plan import Hold, WantedChange

STOPPED_STATUS = 128 + signal.SIGTERM
"""Exit status of a child that was asked to stop, as in a shell. It is not 0, since deploy code may end the process."""


class ProtocolError(Exception):
    """A line that is none of the messages here."""


@dataclass(frozen=True, slots=True)
class EarlierLook:
    """The trace of an earlier look at a built-in in this cycle, and the keys of what it wanted to change."""

    trace: str
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One deploy as the child needs it. ``interrupted``: it began before and did not end well. ``root``: the files of
    the other repository that its source is in; None for a source in the config repo."""

    name: str
    kind: str
    source: str | None
    arguments: Mapping[str, JSON]
    data: Mapping[str, JSON]
    interrupted: bool
    root: str | None = None
    earlier: EarlierLook | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message of a plan's child: the reason why it could not confine itself, empty where it has. The child
    sends it before it reads its orders, since later messages may come from deploy code."""

    type: ClassVar[str] = "ready"
    unconfined: str


@dataclass(frozen=True, slots=True)
class Begin:
    """The orders. ``root`` holds the commit's files; ``temp`` is a folder that only root may enter. ``traced``: True
    where the child also sends the answers to the questions that each look rests on."""

    type: ClassVar[str] = "begin"
    root: str
    temp: str
    deploys: tuple[Order, ...]
    traced: bool = False
    masked: tuple[str, ...] = ()
    """Values of secrets, which the child masks in all that it prints and sends."""


@dataclass(frozen=True, slots=True)
class FoundDeploy:
    """One deploy with the changes found. With an ``error`` it could not be prepared, and has no changes.

    ``resources``: the keys of all that it looks after, as far as they are known, changed or not; for a deploy file the
    keys of its operations and of the resources that they own. ``unowned``: the number of operations that own nothing.
    """

    type: ClassVar[str] = "found"
    deploy: str
    changes: tuple[WantedChange, ...] = ()
    resources: tuple[str, ...] = ()
    error: str | None = None
    unowned: int = 0
    trace: str = ""
    """The lines of ``trace.answers`` with the answers from before the look; empty where they were not asked for."""
    lacks: Hold | None = None
    """The hold for a secret that this host lacks; then its changes are not known. Only the parent sets it."""
    waiting: Mapping[str, Hold] = field(default_factory=dict)
    """Holds for secrets that this host lacks and only one resource needs, by its key; ``changes`` are those without the
    secret. Only the parent sets it."""


@dataclass(frozen=True, slots=True)
class Execute:
    """The order to run the deploy that was found. Of its planned changes, only those of ``resources`` are allowed."""

    type: ClassVar[str] = "execute"
    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Skip:
    """The order to change nothing in the deploy that was found."""

    type: ClassVar[str] = "skip"


Decision = Execute | Skip


@dataclass(frozen=True, slots=True)
class Started:
    type: ClassVar[str] = "started"
    deploy: str
    resource: str
    operation: str


@dataclass(frozen=True, slots=True)
class Operated:
    type: ClassVar[str] = "operated"
    results: tuple[OperationResult, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a deploy. ``status`` is done, failed or stopped; only the parent uses the other words of Status."""

    type: ClassVar[str] = "done"
    deploy: str
    status: Status
    error: str


Message = Ready | Begin | FoundDeploy | Execute | Skip | Started | Operated | Done


_MESSAGES: Mapping[str, type[Message]] = {kind.type: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """``message`` as one line. Bytes that are not UTF-8 (a file name in a diff) become question marks. Only in orders
    they arrive unchanged, because a secret may have such bytes."""
    text = json.dumps({"type": message.type} | codec.to_plain(message), ensure_ascii=isinstance(message, Begin))
    return text.encode(errors="replace") + b"\n"


def decode(line: bytes) -> Message:
    """The message in ``line``. Raises ProtocolError, also for a field too many or too few."""
    try:
        raw = codec.from_plain(json.loads(line), dict[str, Any])
        if "type" not in raw:
            raise ProtocolError("field 'type' is missing")
        kind = codec.from_plain(raw.pop("type"), str)
        if kind not in _MESSAGES:
            raise ProtocolError(f"no message is called {kind[:80]!r}")
        message = codec.from_plain(raw, _MESSAGES[kind], exact=True)
    except codec.Mismatch as error:
        raise ProtocolError(f"{error}") from error
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {line[:80]!r}") from error
    if isinstance(message, Done) and message.status not in (Status.DONE, Status.FAILED, Status.STOPPED):
        raise ProtocolError(f"a deploy does not end as {message.status!r}")
    return message
