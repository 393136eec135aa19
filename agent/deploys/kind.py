"""The base of all kinds of resources: one class each, with all that the agent knows of it. No pyinfra, no pydantic.

If a deploy has only one kind, such as ``timezone``, the kind has three methods beside these. The method
``corrections(arguments, root)`` compares the host with what the deploy wants, ``questions(arguments)`` yields the
questions that this look rests on, and each correction calls ``make``.

The cycle, plan, drift, the ledger and uninstall look, remove and restore by these classes. ``kind_table`` lists them.
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
"""The thing that is there, or None for nothing; an error where nobody may look."""


class Kind(ABC):
    """One kind of resource. ``name`` is what stands behind the colon in a resource's key."""

    calm: ClassVar[bool] = False
    """True if a change has no after-effect: it starts nothing that could go wrong a while later."""

    runs: ClassVar[bool] = False
    """True if such a resource runs, as a unit does."""

    may_hold_others: ClassVar[bool] = False
    """True if such a resource may hold things that are not the agent's. With such things in it, it is not removed, but
    orphaned."""

    @abstractmethod
    def look(self, name: str) -> Seen | None:
        """Look at what is there now; None for nothing. Raises UnsafePath or OSError where nobody may look."""

    def look_each(self, names: Iterable[str]) -> Iterator[Looked]:
        """Look at one after the other. Yields the error in place of a thing that nobody may look at."""
        for name in names:
            try:
                yield self.look(name)
            except (OSError, DeployError) as error:
                yield error

    @abstractmethod
    def changed(self, left: ResourceState, now: Seen) -> str:
        """The difference that somebody else made since the agent ``left`` it so, in a few words; empty if nobody
        did."""

    def remove(
        self,
        entries: Sequence[LedgerEntry],
        *,
        purge: bool,  # noqa: ARG002
        wanted: Collection[str] = (),  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Remove the resources of these entries, which the agent created. ``purge``: with all that it wrote for itself,
        such as a package's configuration. ``wanted``: keys of what Git wants, which must not go along with them.
        Returns the reasons why some had to stay, by key. It is fine if some are gone already."""
        stayed: dict[str, str] = {}
        for entry in entries:
            try:
                self.remove_one(entry)
            except (DeployError, OSError) as error:
                stayed[entry.key] = reason_of(error)
        return stayed

    def remove_one(self, entry: LedgerEntry) -> None:
        """Remove one; it is fine if it is gone. Raises DeployError or OSError with the reason why it has to stay. Kinds
        whose resources go together, or that write something for themselves, override ``remove`` instead."""
        raise NotImplementedError  # a kind overrides this or ``remove``; tests/deploys/test_kind_table.py holds it

    @abstractmethod
    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Make the adopted resource of ``entry`` as it was before. ``image``: its content from then, if kept. Raises
        DeployError if that cannot be done."""

    def release(self, entry: LedgerEntry) -> None:  # noqa: B027 - of most kinds there is nothing
        """Remove what the agent put beside what it adopted (a hold, a sudoers drop-in), because no deploy wants it any
        more; the resource itself stays. It is fine if it is gone. Raises DeployError or OSError."""

    def left_behind(self, entry: LedgerEntry) -> str:  # noqa: ARG002 - of most kinds nothing is
        """The things that stay on the host for good when it goes, in words; empty for none."""
        return ""

    def has_access(self, entry: LedgerEntry) -> bool:  # noqa: ARG002 - of most kinds none does
        """True if it gives somebody access to the host. The agent takes access away at once, while removing the rest
        may have to wait. Raises DeployError or OSError where nobody may look."""
        return False

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:  # noqa: ARG002
        """Take that access away. Returns a line about each part that could not be taken away."""
        return ()

    def units(self, entry: LedgerEntry) -> Collection[str]:  # noqa: ARG002 - most kinds are none
        """The names of the systemd units that it is, or is made into. The name of a template stands for all its
        instances."""
        return ()


def reason_of(error: DeployError | OSError) -> str:
    """The reason of an error, with the hint if there is one, as one line."""
    if isinstance(error, DeployError):
        message = error.message.partition("\n")[0]
        return f"{message}; {error.hint}" if error.hint else message
    return f"{error.strerror or error}"


def state_before(entry: LedgerEntry) -> ResourceState:
    """The state before the agent. Raises DeployError if nobody could look then: the resource can only be left as it
    is."""
    before = entry.before or {}
    if UNSEEN in before:
        raise DeployError(f"what {entry.key} was before is not known: {before[UNSEEN]}")
    return before


def state_left(entry: LedgerEntry) -> ResourceState | None:
    """The state that the agent left for sure; None if it left nothing, or was cut off."""
    return entry.left if entry.settled else None
