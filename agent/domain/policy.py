"""Policies: the input that rules in Rego get about one host, and the verdict that they return. Pure.

The rules are those of `conftest`: sets called ``deny``, ``violation`` and ``warn``, also with ``_…`` behind, in the
package ``main``. ``hostwright schema policy`` prints the JSON Schema of ``PolicyInput``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.domain.digest import JSON
from agent.domain.fault import Mistake
from agent.domain.text import printable

FOLDER = "policies"
MESSAGE_LIMIT = 300
"""Characters of one message."""

JUDGING = r"(?:deny|violation|warn)(?:_\w+)?"
"""A pattern for the names of the rules that judge hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResource:
    """One thing that a deploy looks after. ``key`` is ``kind:name``. ``wanted``: its properties, as `hostwright diff`
    names them; a secret stands there as a template asks for it."""

    key: str
    kind: str
    name: str
    absent: bool
    wanted: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDeploy:
    """One deploy. For a deploy file: ``source`` is its path, ``commit`` the pin of another repository, ``data`` what it
    finds in ``host.data``. ``secrets``: the secrets that it needs, as templates ask for them."""

    name: str
    kind: str
    mode: str
    needs: tuple[str, ...]
    source: str | None
    commit: str | None
    data: Mapping[str, Any]
    secrets: tuple[str, ...]
    resources: tuple[PolicyResource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """One change that would be made on the host, without its diff: content found on a host stays there."""

    deploy: str
    resource: str
    operation: str
    cause: str
    set_off: str
    lines_added: int
    lines_removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRemoval:
    """One thing that has left Git. ``resource``: its key, of which ``kind`` and ``name`` are the parts. ``deploy``: the
    deploy that it came from. ``fate``: ``remove``, or ``release`` for what was there before the agent: it stays, but an
    account loses its access."""

    deploy: str
    resource: str
    kind: str
    name: str
    fate: Literal["remove", "release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDeparture:
    """A deploy that has left Git, and the deploy file that is to be run for it."""

    deploy: str
    on_remove: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlan:
    """The changes that would be made on the host. ``unknown``: deploys whose changes are known only when an earlier one
    is applied; the policies are asked again then. ``removals`` and ``departures`` come after the changes: the policies
    are asked about them in a plan of their own, without ``changes``."""

    changes: tuple[PolicyChange, ...] = ()
    unknown: tuple[str, ...] = ()
    removals: tuple[PolicyRemoval, ...] = ()
    departures: tuple[PolicyDeparture, ...] = ()

    @property
    def removes(self) -> bool:
        return bool(self.removals or self.departures)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInput:
    """One host, as the ``input`` of the rules. ``plan`` is null in `hostwright check`, which asks no host."""

    version: Literal[1] = 1
    host: str
    inventory: str
    groups: tuple[str, ...]
    commit: str
    deploys: tuple[PolicyDeploy, ...]
    plan: PolicyPlan | None


@dataclass(frozen=True, slots=True)
class RuleMessage:
    """One message of a rule. ``deploy`` and ``resource``: those that it is about; empty where the rule names none."""

    rule: str
    message: str
    deploy: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    denied: tuple[RuleMessage, ...] = ()
    warned: tuple[RuleMessage, ...] = ()


def verdict_of(rules: Mapping[str, JSON]) -> PolicyVerdict:
    """The verdict, from the values of the ``rules`` by name. Raises Mistake for one that is no set of messages."""
    found = [finding for rule, messages in rules.items() for finding in _messages(rule, messages)]
    warned = tuple(finding for finding in found if finding.rule.startswith("warn"))
    return PolicyVerdict(tuple(finding for finding in found if finding not in warned), warned)


def _messages(rule: str, messages: JSON) -> Iterator[RuleMessage]:
    if not isinstance(messages, list):
        raise Mistake(f"{rule} is no set of messages", f"write `{rule} contains msg if {{ … }}`")
    for message in messages:
        yield _message(rule, message)


def _message(rule: str, message: JSON) -> RuleMessage:
    about = message if isinstance(message, Mapping) else {"msg": message}
    text, deploy, resource = (about.get(name, "") for name in ("msg", "deploy", "resource"))
    if not (isinstance(text, str) and text.strip() and isinstance(deploy, str) and isinstance(resource, str)):
        raise Mistake(f"a message of {rule} is neither text nor an object with a text `msg`", "write one of the two")
    return RuleMessage(rule, printable(text, MESSAGE_LIMIT), deploy, resource)
