"""dotfiles: sets of files, and the homes that they lie in.

- dotfiles: {user: ann, sets: [common, desktop], backup: true, policy: {".bashrc": keep}}
- dotfiles: {users: [bob, eve], sets: [common]}
- dotfiles: {user: ann, sets: [vim, zsh], layout: stow, mode: link}
- dotfiles: {user: ann, repo: "git+https://git.example.org/ann/dotfiles.git@main", layout: chezmoi}

A set is the folder ``dotfiles/<set>/`` of the config repo, a folder of another repository, or all of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from agent.deploys.dotfiles.layer import FOLDER, Laid, Layer, Ways
from agent.deploys.dotfiles.overlay import Home, overlaid
from agent.deploys.items import Item, Policy, concrete_items
from agent.deploys.spec import Concrete, Sources, Spec
from agent.deploys.written import AccountName, Quoted, Written
from agent.domain.address import Address
from agent.domain.digest import JSON
from agent.domain.fault import Fault, Mistake


def _is_address(text: str) -> str:
    Address.parse(text)
    return text


SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
FileMode = Annotated[str, Field(pattern=r"^0?[0-7]{3}$"), Quoted]


class _Whose(Written):
    user: AccountName | None = None
    """The user whose home it is; the account must exist by then."""
    users: tuple[AccountName, ...] = ()
    """The same for several users."""
    sets: tuple[SetName, ...] = Field(
        default=(),
        description=f"Folders of `{FOLDER}/` in the config repo, laid over each other in this order: a file of a later"
        " one takes the place of an earlier's.",
    )
    repo: Annotated[str, AfterValidator(_is_address)] | None = None
    """Another repository, at the commit that `lock.yaml` pins: `git+https://host/repo.git@ref`, with `//folder` for a
    part of it. `sets` are folders of it; without `sets` it is one set as a whole."""


class DotfilesSpec(Ways, _Whose, Spec):
    kind: ClassVar[str] = "dotfiles"

    @classmethod
    def exposed(cls, arguments: Mapping[str, JSON]) -> JSON:
        del arguments  # ``require_private`` judges each item
        return None

    policy: Mapping[str, Policy] = Field(default_factory=dict)
    """By path in the home, or shell pattern in which `*` also matches `/`: what happens to a file that is there and
    differs. `overwrite` (default) replaces it, `keep` leaves it, `fail` leaves it and fails. Of several patterns that
    match the last counts."""
    modes: Mapping[str, FileMode] = Field(default_factory=dict)
    """By path or pattern, as for `policy`: the mode, such as `"0600"`. For a folder the pattern ends in `/`. Otherwise
    modes are Git's (0644, 0755), and private where programs keep secrets."""
    backup: bool = False
    """Keep what was there before the first change, once, as `<path>.before-hostwright`."""

    _homes: dict[str, Home] = PrivateAttr(default_factory=dict)
    """The merged plays, by user. The fields hold only one play."""

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if (self.user is None) is not bool(self.users):
            raise Mistake("it is not said whose home this is for, or twice", "give either `user` or `users`")
        return self

    @property
    def repositories(self) -> tuple[Address, ...]:
        named = (layer.repo for home in self.homes.values() for layer in home.layers)
        return tuple(dict.fromkeys(repo for repo in named if repo is not None))

    @property
    def homes(self) -> dict[str, Home]:
        if self._homes:
            return self._homes
        said = {name: getattr(self, name) for name in Ways.model_fields if name in self.model_fields_set}
        repo = Address.parse(self.repo) if self.repo else None
        names = self.sets or (("",) if repo else ())
        layers = tuple(Layer(name, repo, Ways(**said)) for name in dict.fromkeys(names))
        home = Home(layers, self.policy, self.modes, self.backup)
        return dict.fromkeys(self.users or (self.user or "",), home)

    def merged(self, later: Self) -> Self:
        """The spec with a later play's laid over it, user by user. A user that only one of the two names keeps what
        that one says."""
        homes = dict(self.homes)
        for user, over in later.homes.items():
            under = homes.get(user, Home())
            homes[user] = under.merged(over, backup=(over if "backup" in later.model_fields_set else under).backup)
        merged = later.model_copy()
        merged._homes = homes
        return merged

    def concrete(self, sources: Sources) -> Concrete:
        if bare := [user for user, home in self.homes.items() if not home.layers]:
            raise Mistake(f"{bare[0]} gets no sets", f"list folders of {FOLDER}/ in `sets`")
        laid = self._read(sources)
        items: list[Item] = []
        for user, home in self.homes.items():
            items += overlaid(user, [laid[layer] for layer in home.layers], home, sources.render)
        written, resources = concrete_items(items)
        return Concrete({"items": written}, resources)

    def _read(self, sources: Sources) -> dict[Layer, Laid]:
        """All sets, read and checked, by layer. Raises Mistake with the faults of all of them."""
        laid: dict[Layer, Laid] = {}
        faults: list[Fault] = []
        for layer in dict.fromkeys(layer for home in self.homes.values() for layer in home.layers):
            try:
                laid[layer] = layer.read(sources)
            except Mistake as mistake:
                faults += mistake.below("sets" if layer.name else "repo")
        if faults:
            raise Mistake.of(faults)
        return laid
