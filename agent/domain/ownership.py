"""The agent's share of a host: the resources that it created or adopted, with their states before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.domain.digest import JSON

UNSEEN = "unseen"
"""The only key of a state that nobody could look at. Its value is the reason."""

BOOTSTRAP = "(bootstrap)"
"""``LedgerEntry.deploy`` of what bootstrap brought: only uninstall takes it back. No deploy can have this name, because
names of deploys begin with a letter or a digit."""


class Origin(StrEnum):
    CREATED = "created"
    ADOPTED = "adopted"
    """The resource was there before the agent first changed it."""


class Standing(StrEnum):
    """The relation of the agent to a resource now."""

    OWNED = "owned"
    """A deploy wants the resource, or it was not decided yet what becomes of it."""
    RELEASED = "released"
    """Adopted, and no deploy wants it any more. It stays as it is, and can be restored as it was before the agent."""
    ORPHANED = "orphaned"
    """Created, and no deploy wants it any more. It stays, because somebody changed it since, or it holds things that
    are not the agent's."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One resource as it was found. ``state``: its properties, as its kind names them. ``image``: the content that puts
    it back; None where it has none, or too much."""

    state: Mapping[str, JSON]
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One resource that the agent changed, by its key.

    ``at``: the time of the entry, in seconds since the epoch. ``before``: the state in which the resource was found;
    None where there was nothing. ``left``: the state in which the agent's last change left it; None where it left
    nothing, or no change has ended well yet. ``settled``: True if the last change that began has ended, so that
    ``left`` counts. ``reloads``: units that read the resource, and are reloaded when it is removed. ``reason``: why it
    is orphaned, or why the last attempt to remove it failed. ``owed``: True if Git said that it should be absent, and
    it was still there. The agent owes its removal then, also when Git says nothing about it any more.
    """

    key: str
    deploy: str
    at: int
    origin: Origin
    before: Mapping[str, JSON] | None = None
    left: Mapping[str, JSON] | None = None
    settled: bool = False
    standing: Standing = Standing.OWNED
    reason: str = ""
    reloads: tuple[str, ...] = ()
    owed: bool = False

    @property
    def kind(self) -> str:
        return self.key.partition(":")[0]

    @property
    def name(self) -> str:
        return self.key.partition(":")[2]

    def is_as_left(self, now: Seen | None) -> bool:
        return self.settled and self.left == (now.state if now is not None else None)


def unseen(reason: str) -> Seen:
    """The state of a resource that nobody could look at: it counts as adopted."""
    return Seen({UNSEEN: reason})
