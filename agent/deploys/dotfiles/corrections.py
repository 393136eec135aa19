"""dotfiles: items turned into corrections, by one look at each home; each is carried out as the home's user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys import tree
from agent.deploys.as_user import LocalUser
from agent.deploys.correction import Correction, refusal
from agent.deploys.items import items_from_json
from agent.deploys.place import Base
from agent.domain.digest import JSON
from agent.domain.question import Question
from agent.errors import DeployError
from agent.host.paths import Paths


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
            home = Base(LocalUser.named(name))
            found += tree.corrections(items_from_json(items), root, home, Paths().repositories)
        except DeployError as error:
            missing[name] = error
    if missing and len(missing) == len(homes):
        raise next(iter(missing.values()))
    # Not by a resource's key: of what nobody can look at, the ledger would say that it was there before.
    return [*found, *(refusal(f"op:dotfiles-{name}#1", error) for name, error in missing.items())]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises DeployError for a user who does not exist, UnsignedError for
    one whom no file names."""
    for name, items in cast("Mapping[str, JSON]", arguments["homes"]).items():
        yield from about.of_accounts([name])
        yield from about.of_items(items_from_json(items), Base(LocalUser.named(name)))
