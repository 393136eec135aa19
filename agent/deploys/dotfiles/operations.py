"""dotfiles: items turned into corrections, by one look at each home; each is carried out as the home's user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys.as_user import User, as_user
from agent.deploys.correction import Correction, correct, refusal
from agent.deploys.items import Item, items_from_json
from agent.deploys.tree import Step, carry_out, survey
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.system.descent import Base


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door. A user or a home that is not there (yet) keeps no other from having theirs; raises
    DeployError where that is so of all: what would change cannot be said before they are."""
    homes = cast("Mapping[str, JSON]", arguments["homes"])
    found: list[Correction] = []
    missing: dict[str, DeployError] = {}
    for name, items in homes.items():
        try:
            found += corrections(User.named(name), items_from_json(items), root, Paths().repositories)
        except DeployError as error:
            missing[name] = error
    if missing and len(missing) == len(homes):
        raise next(iter(missing.values()))
    # Not by a resource's key: of what nobody can look at, the ledger would say that it was there before.
    correct("dotfiles", [*found, *(refusal(f"op:dotfiles-{name}#1", error) for name, error in missing.items())])


def corrections(user: User, items: list[Item], root: Path, repositories: Path) -> list[Correction]:
    """What is not as it should be in one home. ``root`` holds the commit's files, ``repositories`` other trees.
    Raises DeployError when the home cannot be opened, or is another's."""
    base = Base(user.home, root_links=False)
    with _opened(base, user):
        return [_correction(user, base, step) for step in survey(base, items, root, repositories)]


@contextmanager
def _opened(base: Base, user: User) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            home = stack.enter_context(base.opened())
            owner = os.fstat(home).st_uid
        except OSError as error:
            raise DeployError(
                f"the home {user.home} of {user.name} cannot be opened: {error.strerror}",
                hint="create it with an earlier `users` deploy",
                kind="no-home",
            ) from error
        if owner != user.uid:
            raise DeployError(
                f"the home {user.home} of {user.name} belongs to uid {owner}",
                hint="dotfiles are for people's own homes; use `files` for folders of the system",
                kind="not-their-home",
            )
        yield home


def _correction(user: User, base: Base, step: Step) -> Correction:
    difference = step.difference
    change = WantedChange(
        step.item.key, difference.operation, difference.diff, difference.private, refused=difference.blocked
    )
    return Correction(change, _carry_out, user, base, step.item, step.content)


def _carry_out(user: User, base: Base, item: Item, content: bytes | None) -> str:
    with _opened(base, user) as home:
        return as_user(user, partial(carry_out, base, home, item, content))
