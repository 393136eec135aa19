"""The base of all kinds of resources: one class each, with all that the agent knows of it. No pyinfra, no pydantic.

The kind of a deploy that has one alone, such as ``timezone``, has three methods beside these:
``corrections(arguments, root)`` finds what differs from what the deploy wants, ``questions(arguments)`` says what that
look rests on, and each correction calls ``make``.

The cycle looks, removes and restores by it, and so do plan, drift, the ledger and uninstall. ``kind_table`` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Seen
from agent.errors import DeployError

ResourceState = Mapping[str, JSON]
"""The properties of a resource, in the words of its kind."""

Looked = Seen | OSError | DeployError | None
"""The thing that is there, None for nothing; or why nobody may look."""


class Kind(ABC):
    """One kind of resource. ``name`` is what stands behind the colon in a resource's key."""

    calm: ClassVar[bool] = False
    """True where a change is all that happens: nothing starts by it that could go wrong a while later."""

    runs: ClassVar[bool] = False
    """True where it is something that runs."""

    may_hold_others: ClassVar[bool] = False
    """True where things in it may not be the agent's. Then it stays, and is orphaned."""

    @abstractmethod
    def look(self, name: str) -> Seen | None:
        """Look at what is there now; None for nothing. Raises UnsafePath or OSError where nobody may look."""

    def look_each(self, names: Iterable[str]) -> Iterator[Looked]:
        """Look at one after the other; an error stands for what nobody may look at."""
        for name in names:
            try:
                yield self.look(name)
            except (OSError, DeployError) as error:
                yield error

    @abstractmethod
    def changed(self, left: ResourceState, now: Seen) -> str:
        """Say in a few words what somebody else changed since the agent ``left`` it so; empty where nobody did."""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:  # noqa: ARG002
        """Remove what these entries say the agent created. ``purge``: with all that it wrote for itself, such as
        a package's configuration. Returns, by key, why some had to stay; those that are gone already are fine."""
        stayed: dict[str, str] = {}
        for entry in entries:
            try:
                self.remove_one(entry)
            except (DeployError, OSError) as error:
                stayed[entry.key] = reason_of(error)
        return stayed

    def remove_one(self, entry: LedgerEntry) -> None:
        """Remove one; fine where it is gone. Raises DeployError or OSError with why it has to stay. Kinds that go
        together, or write something for themselves, override ``remove`` instead."""
        raise NotImplementedError  # a kind overrides this or ``remove``; tests/deploys/test_kind_table.py holds it

    @abstractmethod
    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Give back what ``entry`` says was adopted, as it was before. Raises DeployError when it cannot."""

    def release(self, entry: LedgerEntry) -> None:  # noqa: B027 - of most kinds there is nothing
        """Remove what the agent put beside what it adopted (a hold, a sudoers drop-in), because no deploy wants it
        any more; the resource itself stays. Fine where it is gone. Raises DeployError or OSError."""

    def left_behind(self, entry: LedgerEntry) -> str:  # noqa: ARG002 - of most kinds nothing is
        """What stays on the host for good when it goes, in words; empty for nothing."""
        return ""

    def has_access(self, entry: LedgerEntry) -> bool:  # noqa: ARG002 - of most kinds none does
        """True where it gives somebody access to the host. That goes at once, while removing the rest may have to wait.
        Raises DeployError or OSError where nobody may look."""
        return False

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:  # noqa: ARG002
        """Take that access away. Returns what could not be taken, a line each."""
        return ()

    def units(self, entry: LedgerEntry) -> Collection[str]:  # noqa: ARG002 - most kinds are none
        """The units of systemd that it is or is made into; of a template its own name, which stands for all
        instances."""
        return ()


def reason_of(error: DeployError | OSError) -> str:
    """The reason of an error, and the way out, as one line."""
    if isinstance(error, DeployError):
        message = error.message.partition("\n")[0]
        return f"{message}; {error.hint}" if error.hint else message
    return f"{error.strerror or error}"


def state_before(entry: LedgerEntry) -> ResourceState:
    """The state before the agent. Raises DeployError where nobody could look then: it can only be left as it is."""
    before = entry.before or {}
    if UNSEEN in before:
        raise DeployError(f"what {entry.key} was before is not known: {before[UNSEEN]}")
    return before


def state_left(entry: LedgerEntry) -> ResourceState | None:
    """The state that the agent left for sure; None where it left nothing, or was cut off."""
    return entry.left if entry.settled else None
