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
"""Exit status of a child that was asked to stop, as a shell would say it. Not 0: deploy code may end the process."""


class ProtocolError(Exception):
    """A line that is none of the messages here."""


@dataclass(frozen=True, slots=True)
class EarlierLook:
    """The trace of an earlier look at a built-in in this cycle, and the keys of what it wanted to change."""

    trace: str
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One deploy as the child needs it. ``interrupted``: it began before and did not end well. ``root``: the folder
    that its source lies in, where that is another repository's."""

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
    """Why the child of a plan could not confine itself; empty where it has. Said before it has seen anything to obey:
    what comes later may be the word of deploy code."""

    type: ClassVar[str] = "ready"
    unconfined: str


@dataclass(frozen=True, slots=True)
class Begin:
    """``root`` holds the commit's files; ``temp`` is a folder that only root may enter. ``traced``: the answers to what
    each look rests on are told as well."""

    type: ClassVar[str] = "begin"
    root: str
    temp: str
    deploys: tuple[Order, ...]
    traced: bool = False
    masked: tuple[str, ...] = ()
    """What the child may say nowhere: values of secrets."""


@dataclass(frozen=True, slots=True)
class FoundDeploy:
    """One deploy as it was found. With an ``error`` it could not be prepared, and there are no changes to name.

    ``resources``: the keys of all that it looks after, as far as they are known, changed or not; of a config repo's
    deploy those of its operations and of what they own. ``unowned``: how many of those own nothing.
    """

    type: ClassVar[str] = "found"
    deploy: str
    changes: tuple[WantedChange, ...] = ()
    resources: tuple[str, ...] = ()
    error: str | None = None
    unowned: int = 0
    trace: str = ""
    """Lines of ``trace.answers``: what the look rested on, from before it; empty where they were not asked for."""
    lacks: Hold | None = None
    """For a secret that cannot be had; then nothing is known of its changes. The parent alone can tell."""
    waiting: Mapping[str, Hold] = field(default_factory=dict)
    """For secrets that cannot be had and that one resource alone needs, by its key; ``changes`` do without. The parent
    alone can tell."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Run the deploy that was found, and change nothing that was planned but these ``resources``."""

    type: ClassVar[str] = "execute"
    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave it alone."""

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
    """``status`` is done, failed or stopped; the other words of Status are the parent's."""

    type: ClassVar[str] = "done"
    deploy: str
    status: Status
    error: str


Message = Ready | Begin | FoundDeploy | Execute | Skip | Started | Operated | Done


_MESSAGES: Mapping[str, type[Message]] = {kind.type: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """``message`` as one line. What is not UTF-8 (a file name in a diff) is sent with question marks; orders arrive as
    they are, for the bytes of a secret may be none."""
    text = json.dumps({"type": message.type} | codec.to_plain(message), ensure_ascii=isinstance(message, Begin))
    return text.encode(errors="replace") + b"\n"


def decode(line: bytes) -> Message:
    """One line as the message it is. Raises ProtocolError, also for a field too many or too few."""
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
