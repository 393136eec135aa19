"""The agent's share of a host: what it created or adopted, what was there before, and what it left there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.domain.digest import JSON

UNSEEN = "unseen"
"""Of a state that nobody could look at the only key; it says why."""

BOOTSTRAP = "(bootstrap)"
"""``LedgerEntry.deploy`` of what bootstrap brought, which no deploy wants and only uninstall takes back. Not the name
of any deploy: those begin with a letter or a digit."""


class Origin(StrEnum):
    CREATED = "created"
    ADOPTED = "adopted"
    """It was there before the agent first changed it."""


class Standing(StrEnum):
    """The relation of the agent to a resource now."""

    OWNED = "owned"
    """A deploy wants it, or did until a moment ago."""
    RELEASED = "released"
    """Adopted, and no deploy wants it any more: it stays as it is, and can be given back."""
    ORPHANED = "orphaned"
    """Created, and no deploy wants it any more, but it may not be taken away: somebody changed it since, or it holds
    what is not the agent's."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One resource as it was found. ``state`` says what there is to say of it, in the words of its kind; ``image`` is
    the content that it would take to put it back, where it has one and that is not too large."""

    state: Mapping[str, JSON]
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One resource that the agent changed, by its key.

    ``before`` is the state in which it was found, None where there was nothing; ``left`` is the state in which the
    last cycle that changed it left it, None where it left nothing, and until one has ended well. ``settled``: one
    has, since the last change began. ``reloads``: units that have read it and are to be told when it goes. ``reason``
    says why it is orphaned, or why it could not be removed when it was last tried. ``owed``: Git said that it should
    not be, and it still was when that was last looked at: its removal is owed, also when Git says nothing of it any
    more.
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
