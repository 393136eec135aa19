"""What every kind of resource is: one class with all that the agent knows of it. No pyinfra and no pydantic in here.

The cycle looks, removes and restores by it, and so do plan, drift, the ledger and uninstall. ``kind_table`` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Seen
from agent.errors import DeployError

State = Mapping[str, JSON]
"""What there is to say of a resource, in the words of its kind."""


class Kind(ABC):
    """One kind of resource. ``name`` is what stands behind the colon in a resource's key."""

    calm: ClassVar[bool] = False
    """Whether a change of it is all that happens: nothing starts by it that could go wrong a while later."""

    may_hold_others: ClassVar[bool] = False
    """Whether there may be things in it that are not the agent's. Then it stays, and is orphaned."""

    @abstractmethod
    def look(self, name: str) -> Seen | None:
        """What is there now; None for nothing. Changes nothing. Raises UnsafePath or OSError where nobody may look."""

    @abstractmethod
    def changed(self, left: State, now: Seen) -> str:
        """In a few words, what somebody else changed since the agent ``left`` it so; empty where nobody did."""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        """Takes away what these entries say the agent created. ``purge``: with all that it wrote for itself, such as
        a package's configuration. Returns, by key, why some had to stay; those that are gone already are fine."""
        stayed: dict[str, str] = {}
        for entry in entries:
            try:
                self.remove_one(entry, purge=purge)
            except (DeployError, OSError) as error:
                stayed[entry.key] = reason_of(error)
        return stayed

    def remove_one(self, entry: LedgerEntry, *, purge: bool) -> None:
        """Takes one away; fine where it is gone. Raises DeployError or OSError with why it has to stay. Kinds that go
        together override ``remove`` instead."""
        raise NotImplementedError

    @abstractmethod
    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Gives back what ``entry`` says was adopted, as it was before. Raises DeployError when it cannot."""

    def release(self, entry: LedgerEntry) -> None:  # noqa: B027 - of most kinds there is nothing
        """Takes away what the agent put beside what it adopted (a hold, a sudoers drop-in), because no deploy wants
        it any more; the resource itself stays. Fine where it is gone. Raises DeployError or OSError."""

    def has_access(self, entry: LedgerEntry) -> bool:  # noqa: ARG002 - of most kinds none does
        """Whether it gives somebody access to the host. That goes at once, while removing the rest may have to wait.
        Raises DeployError or OSError where nobody may look."""
        return False

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:  # noqa: ARG002
        """Takes that access away. Returns what could not be taken, a line each."""
        return ()

    def units(self, entry: LedgerEntry) -> Collection[str]:  # noqa: ARG002 - most kinds are none
        """The units of systemd that it is or is made into; of a template its own name, which stands for all
        instances."""
        return ()


def reason_of(error: DeployError | OSError) -> str:
    """Why something could not be done, and the way out, as one line."""
    if isinstance(error, DeployError):
        message = error.message.partition("\n")[0]
        return f"{message}; {error.hint}" if error.hint else message
    return f"{error.strerror or error}"


def state_before(entry: LedgerEntry) -> State:
    """What was there before. Raises DeployError where nobody could look at it then: it can only be left as it is."""
    before = entry.before or {}
    if UNSEEN in before:
        raise DeployError(f"what {entry.key} was before is not known: {before[UNSEEN]}")
    return before


def state_left(entry: LedgerEntry) -> State | None:
    """What the agent left there, for sure; None where it left nothing, or was cut off."""
    return entry.left if entry.settled else None
