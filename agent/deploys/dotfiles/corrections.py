"""dotfiles: items turned into corrections, by one look at each home; each is carried out as the home's user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys.as_user import LocalUser, UserWorker
from agent.deploys.correction import Correction, refusal
from agent.deploys.items import Item, items_from_json
from agent.deploys.tree import Step, carry_out, survey
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system.safe_open import Base


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    A user or a home that is not there (yet) keeps no other from having theirs; raises DeployError where that is so
    of all: what would change cannot be said before they are.
    """
    homes = cast("Mapping[str, JSON]", arguments["homes"])
    found: list[Correction] = []
    missing: dict[str, DeployError] = {}
    for name, items in homes.items():
        try:
            found += home_corrections(LocalUser.named(name), items_from_json(items), root, Paths().repositories)
        except DeployError as error:
            missing[name] = error
    if missing and len(missing) == len(homes):
        raise next(iter(missing.values()))
    # Not by a resource's key: of what nobody can look at, the ledger would say that it was there before.
    return [*found, *(refusal(f"op:dotfiles-{name}#1", error) for name, error in missing.items())]


def home_corrections(user: LocalUser, items: list[Item], root: Path, repositories: Path) -> list[Correction]:
    """What is not as it should be in one home. ``root`` holds the commit's files, ``repositories`` other trees.
    Raises DeployError when the home cannot be opened, or is another's."""
    base = Base(user.home, root_links=False)
    with _opened(base, user):
        steps = list(survey(base, items, root, repositories))
    return _Home(user, base, steps).corrections


class _Home:
    """The corrections of one home, made by one child of its user."""

    def __init__(self, user: LocalUser, base: Base, steps: Sequence[Step]) -> None:
        self._user = user
        self._base = base
        self._steps = steps
        self._worker: UserWorker | None = None
        self.corrections = [Correction(_change(step), self._make, number) for number, step in enumerate(steps)]

    def _make(self, number: int) -> str:
        if self._worker is None or self._worker.ended:
            with _opened(self._base, self._user) as home:
                works = [partial(carry_out, self._base, home, step.item, step.content) for step in self._steps]
                self._worker = UserWorker(self._user, works)
        try:
            return self._worker.do(number)
        finally:
            if not any(correction.allowed for correction in self.corrections[number + 1 :]):
                self._worker.end()


@contextmanager
def _opened(base: Base, user: LocalUser) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            home = stack.enter_context(base.opened())
            owner = os.fstat(home).st_uid
        except OSError as error:
            raise DeployError(
                f"the home {user.home} of {user.name} cannot be opened: {error.strerror}",
                hint="create it with an earlier `users` deploy",
                kind=ProblemKind.NO_HOME,
            ) from error
        if owner != user.uid:
            raise DeployError(
                f"the home {user.home} of {user.name} belongs to uid {owner}",
                hint="dotfiles are for people's own homes; use `files` for folders of the system",
                kind=ProblemKind.NOT_THEIR_HOME,
            )
        yield home


def _change(step: Step) -> WantedChange:
    difference = step.difference
    return WantedChange(
        step.item.key, difference.operation, difference.diff, difference.private, refused=difference.blocked
    )
