"""The lines between the agent and its engine child: messages to JSON lines and back, strictly.

    parent                                      child
                                          ←     ready {confined, reason}                 of a plan's child alone
    begin {root, temp, deploys}           →
                                          ←     prepared {deploy, changes, resources, unowned}
    execute {deploy, resources} or skip   →
                                          ←     started {deploy, resource, operation}    each time
                                          ←     operated {result}                        each time
                                          ←     done {deploy, status, error}             after execute
                                          ←     unprepared {deploy, error}               instead of prepared; no answer

Deploy by deploy, in order. A child that is asked to stop ends between two deploys with ``STOPPED_STATUS``.
"""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn, cast

from agent.domain.digest import JSON
from agent.domain.outcome import OperationResult, Status
from agent.domain.plan import WantedChange

STOPPED_STATUS = 128 + signal.SIGTERM
"""Exit status of a child that was asked to stop, as a shell would say it. Not 0: deploy code may end the process."""


class ProtocolError(Exception):
    """A line that is none of the messages here."""


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


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the child of a plan could confine itself, and why not. Said before it has seen anything to obey: what
    comes later may be the word of deploy code."""

    type: ClassVar[str] = "ready"
    confined: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Begin:
    """``root`` holds the commit's files; ``temp`` is a folder that only root may enter."""

    type: ClassVar[str] = "begin"
    root: str
    temp: str
    deploys: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class PreparedDeploy:
    """``resources``: the keys of everything that the deploy looks after as far as it is known, changed or not.
    ``unowned``: how many operations of a config repo's deploy look after nothing that could be pruned."""

    type: ClassVar[str] = "prepared"
    deploy: str
    changes: tuple[WantedChange, ...]
    resources: tuple[str, ...]
    unowned: int


@dataclass(frozen=True, slots=True)
class UnpreparedDeploy:
    type: ClassVar[str] = "unprepared"
    deploy: str
    error: str


@dataclass(frozen=True, slots=True)
class ExecuteDeploy:
    """``resources``: the keys that may change."""

    type: ClassVar[str] = "execute"
    deploy: str
    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class SkipDeploy:
    type: ClassVar[str] = "skip"
    deploy: str


@dataclass(frozen=True, slots=True)
class Started:
    type: ClassVar[str] = "started"
    deploy: str
    resource: str
    operation: str


@dataclass(frozen=True, slots=True)
class Operated:
    type: ClassVar[str] = "operated"
    result: OperationResult


@dataclass(frozen=True, slots=True)
class Done:
    """``status`` is done, failed or stopped; the other words of Status are the parent's."""

    type: ClassVar[str] = "done"
    deploy: str
    status: Status
    error: str


Message = Ready | Begin | PreparedDeploy | UnpreparedDeploy | ExecuteDeploy | SkipDeploy | Started | Operated | Done


def encode(message: Message) -> bytes:
    """``message`` as one line. What is not UTF-8 (a file name in a diff) is sent with question marks."""
    text = json.dumps({"type": message.type} | _fields(message), ensure_ascii=False, default=_plain)
    return text.encode(errors="replace") + b"\n"


def decode(line: bytes) -> Message:
    """One line as the message it is. Raises ProtocolError, also for a field too many."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {line[:80]!r}") from error
    fields = _Fields(raw)
    kind = fields.text("type")
    if kind not in _READERS:
        raise ProtocolError(f"no message is called {kind[:80]!r}")
    message = _READERS[kind](fields)
    fields.end()
    return message


def _plain(value: object) -> dict[str, object] | list[str]:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return _fields(value)


def _fields(value: object) -> dict[str, object]:
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{type(value).__name__} cannot be sent")
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


class _Fields:
    """Takes the fields of one JSON object, each with its type, and in the end complains about those left."""

    def __init__(self, raw: object) -> None:
        if not isinstance(raw, dict):
            self._refuse("an object", raw)
        self._raw: dict[str, object] = raw

    def end(self) -> None:
        if self._raw:
            raise ProtocolError(f"unknown field {next(iter(self._raw))!r}")

    def text(self, name: str) -> str:
        value = self._take(name)
        return value if isinstance(value, str) else self._refuse("text", value)

    def optional_text(self, name: str) -> str | None:
        value = self._take(name)
        return value if value is None or isinstance(value, str) else self._refuse("text or null", value)

    def flag(self, name: str) -> bool:
        value = self._take(name)
        return value if isinstance(value, bool) else self._refuse("true or false", value)

    def number(self, name: str) -> float:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._refuse("a number", value)
        return float(value)

    def count(self, name: str) -> int:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse("a whole number", value)
        return value

    def mapping(self, name: str) -> Mapping[str, JSON]:
        value = self._take(name)
        return cast("dict[str, JSON]", value) if isinstance(value, dict) else self._refuse("an object", value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse("a list of texts", value)
        return tuple(value)

    def one(self, name: str) -> _Fields:
        return _Fields(self._take(name))

    def many(self, name: str) -> list[_Fields]:
        value = self._take(name)
        return [_Fields(item) for item in value] if isinstance(value, list) else self._refuse("a list", value)

    def _take(self, name: str) -> object:
        try:
            return self._raw.pop(name)
        except KeyError:
            raise ProtocolError(f"field {name!r} is missing") from None

    def _refuse(self, wanted: str, value: object) -> NoReturn:
        raise ProtocolError(f"{wanted} was expected, not {str(value)[:80]!r}")


def _order(fields: _Fields) -> Order:
    order = Order(
        name=fields.text("name"),
        kind=fields.text("kind"),
        source=fields.optional_text("source"),
        arguments=fields.mapping("arguments"),
        data=fields.mapping("data"),
        interrupted=fields.flag("interrupted"),
        root=fields.optional_text("root"),
    )
    fields.end()
    return order


def _change(fields: _Fields) -> WantedChange:
    change = WantedChange(
        resource=fields.text("resource"),
        operation=fields.text("operation"),
        diff=fields.optional_text("diff"),
        private=fields.flag("private"),
        owns=fields.texts("owns"),
        refused=fields.flag("refused"),
    )
    fields.end()
    return change


def _result(fields: _Fields) -> OperationResult:
    result = OperationResult(
        deploy=fields.text("deploy"),
        resource=fields.text("resource"),
        operation=fields.text("operation"),
        succeeded=fields.flag("succeeded"),
        changed=fields.flag("changed"),
        seconds=fields.number("seconds"),
        output=fields.text("output"),
        error=fields.text("error"),
    )
    fields.end()
    return result


def _done(fields: _Fields) -> Done:
    deploy, status, error = fields.text("deploy"), fields.text("status"), fields.text("error")
    if status not in (Status.DONE, Status.FAILED, Status.STOPPED):
        raise ProtocolError(f"a deploy does not end as {status[:80]!r}")
    return Done(deploy, Status(status), error)


_READERS: Mapping[str, Callable[[_Fields], Message]] = {
    Ready.type: lambda f: Ready(f.flag("confined"), f.text("reason")),
    Begin.type: lambda f: Begin(f.text("root"), f.text("temp"), tuple(_order(item) for item in f.many("deploys"))),
    PreparedDeploy.type: lambda f: PreparedDeploy(
        f.text("deploy"), tuple(_change(item) for item in f.many("changes")), f.texts("resources"), f.count("unowned")
    ),
    UnpreparedDeploy.type: lambda f: UnpreparedDeploy(f.text("deploy"), f.text("error")),
    ExecuteDeploy.type: lambda f: ExecuteDeploy(f.text("deploy"), frozenset(f.texts("resources"))),
    SkipDeploy.type: lambda f: SkipDeploy(f.text("deploy")),
    Started.type: lambda f: Started(f.text("deploy"), f.text("resource"), f.text("operation")),
    Operated.type: lambda f: Operated(_result(f.one("result"))),
    Done.type: _done,
}
