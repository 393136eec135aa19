"""The files of other repositories at their pins, where they are on this machine."""

from __future__ import annotations

from collections.abc import Callable

from agent.domain.address import Address
from agent.domain.pins import RepositoryPin, left_out
from agent.domain.tree import Tree
from agent.errors import InventoryError, SourceError, TrustError
from agent.problems import ProblemKind

ReadRepository = Callable[[RepositoryPin], Tree]
"""The files of a repository at its pin. Raises InventoryError (``not-fetched``) where it is not here, SourceError and
TrustError where it cannot be read."""


def not_fetched(pin: RepositoryPin) -> Tree:
    """Raise InventoryError (``not-fetched``): for use where no other repositories are available."""
    raise InventoryError(
        f"{pin.address} is not fetched here",
        kind=ProblemKind.NOT_FETCHED,
        hint="`hostwright lock` in the config repo fetches it",
    )


class OtherRepositories:
    """The other repositories that an environment uses. A repository that cannot be read is tried once."""

    def __init__(self, read: ReadRepository) -> None:
        self._read = read
        self._failed: dict[RepositoryPin, SourceError | TrustError] = {}
        self._used: set[RepositoryPin] = set()
        self._runnable: set[Address] = set()

    def tree(self, pin: RepositoryPin) -> Tree:
        """The files at ``pin``. Raises InventoryError (``not-fetched``), SourceError and TrustError."""
        if pin in self._failed:
            raise self._failed[pin]
        try:
            found = self._read(pin)
        except (SourceError, TrustError) as error:
            self._failed[pin] = error
            raise
        self._used.add(pin)
        return found

    def require_runnable(self, address: Address, pin: RepositoryPin) -> None:
        """Raise InventoryError unless the deploy file of ``address`` could run on a host."""
        from agent.inventory.lint.external_deploys import require_runnable  # few inventories name other repositories

        if address not in self._runnable:
            require_runnable(address, self.tree(pin))
            self._runnable.add(address)

    @property
    def used(self) -> tuple[RepositoryPin, ...]:
        """The pins whose files were read, sorted."""
        return tuple(sorted(self._used, key=lambda pin: (pin.url, pin.ref)))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts of the repositories read that hosts do not get, in words."""
        return left_out(self._used)
