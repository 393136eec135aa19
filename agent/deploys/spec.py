"""The base of the specs of built-in deploys, and the way to each of them. No pyinfra in here.

A deploy is a folder: ``spec.py`` turns what an inventory may write into concrete arguments and resources; ``host.py``
turns those arguments into corrections of a host (``correction.HostSide``). The spec runs wherever inventories are read
(an administrator's laptop, CI); the corrections run only in the engine child on the host.

A spec is called ``<Kind>Spec`` and imported when first asked for, so that listing the kinds costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict

from agent.deploys.items import items_from_json
from agent.deploys.kind import other_keys
from agent.deploys.written import Written
from agent.domain.address import Address
from agent.domain.desired import Resource
from agent.domain.digest import JSON
from agent.domain.fault import Fault, KeyPath, Mistake
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.pins import Pins, RepositoryPin
from agent.domain.stand_in import stand_in
from agent.domain.text import not_utf8
from agent.domain.tree import Entry, Tree, nearest_path


@dataclass(frozen=True, slots=True)
class Concrete:
    """A spec with everything filled in: the arguments of the operations, and the resources that the deploy will own."""

    arguments: Mapping[str, JSON]
    resources: tuple[Resource, ...]
    claims: tuple[Resource, ...] = ()
    """Resources that come along with those, and that no other deploy may own: the link of a tool's command, the file of
    a unit."""
    relies_on: Mapping[str, str] = field(default_factory=dict)
    """The purposes of resources that have to be on the host before, in words, by key."""
    properties: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By key of a resource that several deploys may share: what this deploy says of it, in words, each with a digest.
    Two deploys that say it differently undo what the other did."""
    needs_more_to_look: bool = False
    """True if finding out what would change takes more than reading."""


def same_resources(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """``resources`` under the keys that they have as files and links, for ``claims``; without those that have none."""
    return tuple(replace(each, key=other) for each in resources for other in other_keys(each.key))


_NAMING = ("kind", "path", "home", "part", "resource_key")
"""Fields of an item that are in its key."""

NAMES: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
"""The JSON Schema of a list of names, the short form of several kinds."""


class Sources(Protocol):
    """The sources of a spec while it becomes concrete: the commit's files, and the host's values."""

    @property
    def tree(self) -> Tree: ...

    @property
    def inventory(self) -> str:
        """The inventory's name: its folder below ``inventories/``."""
        ...

    @property
    def pins(self) -> Pins:
        """The pins in lock.yaml; none if there is no such file."""
        ...

    def repository(self, pin: RepositoryPin) -> Tree:
        """The files of another repository at its pin. Raises InventoryError (kind ``not-fetched``) where they have
        not been fetched, which is no fault of the inventory's."""
        ...

    def render(self, template: str, origin: str) -> str:
        """``template`` (Jinja2) over this host's values. Raises InventoryError naming ``origin`` and the line."""
        ...


class Spec(Written, ABC):
    """The arguments of one kind of built-in deploy as an inventory writes them, values already rendered.

    The JSON Schema and the configuration reference are made from the texts below the fields.
    """

    kind: ClassVar[str]
    short: ClassVar[Mapping[str, Any] | None] = None
    """The JSON Schema of the short form that ``from_short`` takes besides a mapping."""
    owned: ClassVar[Mapping[str, str]] = {}
    """The name of the argument that holds the entries, by kind of resource: entries by name, or a list of entries that
    have a ``name``."""
    if_sealed: ClassVar[str] = (
        "only content of `files` and `dotfiles` and a `password_hash` can be; a program can read it there"
    )
    """The way out if a secret stands in what is ``exposed``."""

    @classmethod
    def properties(cls, arguments: Mapping[str, JSON]) -> dict[str, Mapping[str, JSON]]:
        """The properties that concrete ``arguments`` want of each resource, by its key, for people who compare two
        commits."""
        found: dict[str, Mapping[str, JSON]] = {}
        for item in items_from_json(arguments.get("items", [])):
            wanted = {name: value for name, value in item.to_json().items() if name not in _NAMING}
            found[item.key] = wanted if item.mode is None else {**wanted, "mode": f"{item.mode:04o}"}
        for kind, argument in cls.owned.items():
            entries: Any = arguments[argument]
            named = entries.items() if isinstance(entries, Mapping) else ((entry["name"], entry) for entry in entries)
            found |= {f"{kind}:{name}": entry for name, entry in named}
        return found

    @classmethod
    def exposed(cls, arguments: Mapping[str, JSON]) -> JSON:
        """The part of concrete ``arguments`` that others than the host's root may come to see, so that no secret may
        stand in it."""
        return arguments

    @classmethod
    def from_short(cls, value: Any) -> Any:
        """The short form of a play (``tools: [ruff]``) as the mapping that the fields describe; identity by default."""
        return value

    @abstractmethod
    def merged(self, later: Self) -> Self:
        """The spec with a later play's laid over it: sets are united, maps are merged by key; of two scalars the later
        one wins."""

    @property
    def repositories(self) -> tuple[Address, ...]:
        """The other repositories that it takes files from. `hostwright lock` pins them."""
        return ()

    @abstractmethod
    def concrete(self, sources: Sources) -> Concrete:
        """Everything looked up and rendered. Raises InventoryError with what is missing or wrong."""


M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def _in_both_forms(schema: dict[str, Any], model: type[ByName]) -> None:
    """Let the JSON Schema take the entries without the level, too."""
    schema["additionalProperties"] = schema["properties"][model.level]["additionalProperties"]


class NamedEntry(Written):
    """One entry of a ``ByName``. ``whole``: fields in which a later play's list replaces the earlier one.
    ``alternatives``: fields that say the same thing in different ways, so that one given by a later play unsets the
    others."""

    whole: ClassVar[tuple[str, ...]] = ()
    alternatives: ClassVar[tuple[str, ...]] = ()

    def merged(self, later: Self) -> Self:
        """The entry with a later play's laid over it. A later play that names it and says nothing of ``absent`` wants
        it."""
        said: dict[str, object] = {name: getattr(later, name) for name in self.whole if name in later.model_fields_set}
        if "absent" in type(self).model_fields:
            said["absent"] = getattr(later, "absent", False)
        given = {name for name in self.alternatives if getattr(later, name) is not None}
        said |= dict.fromkeys(set(self.alternatives) - given) if given else {}
        return overlaid(self, later).model_copy(update=said)


class ByName(Spec):
    """A spec whose fields hold entries by name. The field ``level`` may be left out: ``cron: {jobs: {backup: …}}`` is
    ``cron: {backup: …}``."""

    model_config = ConfigDict(json_schema_extra=_in_both_forms)

    level: ClassVar[str]

    @classmethod
    def from_short(cls, value: Any) -> Any:
        if cls.short is NAMES and isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
            return {cls.level: dict.fromkeys(value)}
        return {cls.level: value} if isinstance(value, Mapping) and set(value) != {cls.level} else value

    def merged(self, later: Self) -> Self:
        both = {name: united(getattr(self, name), getattr(later, name)) for name in type(self).model_fields}
        return self.model_copy(update=both)


def bare_name(entry: type[NamedEntry], meaning: Mapping[str, JSON]) -> BeforeValidator:
    """The validator that takes a name with nothing behind it (``ann:``) for an ``entry`` with this ``meaning``."""
    return BeforeValidator(lambda value: meaning if value is None else value, json_schema_input_type=entry | None)


E = TypeVar("E", bound=NamedEntry)


def united(earlier: Mapping[str, E], later: Mapping[str, E]) -> dict[str, E]:
    """The entries of both; those of one name merged."""
    both = {name: earlier[name].merged(later[name]) for name in earlier.keys() & later.keys()}
    return {**earlier, **later, **both}


def by_full_name(entries: Mapping[str, M], full_name: Callable[[str], str]) -> dict[str, M]:
    """``entries`` under their full names. Raises Mistake where two have the same one."""
    named: dict[str, M] = {}
    for given, entry in entries.items():
        name = full_name(given)
        if name in named:
            raise Mistake(f"{name} is there twice", "keep one of the two")
        named[name] = entry
    return named


def each_by_name(entries: Mapping[str, M], concrete: Callable[[str, M], T]) -> dict[str, T]:
    """``concrete`` of each of ``entries``, by name. Raises Mistake with the faults of all of them."""
    found: dict[str, T] = {}
    faults: list[Fault] = []
    for name, entry in entries.items():
        try:
            found[name] = concrete(name, entry)
        except Mistake as mistake:
            faults += mistake.faults
    if faults:
        raise Mistake.of(faults)
    return found


def entry_named(tree: Tree, path: str, where: KeyPath) -> Entry:
    """The file of the config repo that the value at ``where`` names. Raises Mistake."""
    found = tree.entry(path)
    if found is None:
        if absence := tree.absence(path):
            raise Mistake(f"{path} {absence.why}", absence.remedy, where)
        if tree.names(path):
            raise Mistake(f"{path} is a folder of the config repo", "name a file in it", where)
        near = nearest_path(tree, path)
        remedy = f"did you mean {near}?" if near else "add it; paths count from the top of the config repo"
        raise Mistake(f"there is no file {path} in the config repo", remedy, where)
    require_content(tree, found, where)
    if found.link:
        raise Mistake(f"{path} is a link in the config repo, which is not followed", "name the file itself", where)
    return found


def require_content(tree: Tree, entry: Entry, where: KeyPath = ()) -> None:
    """Raise Mistake if the repository has something else in place of the content that is meant."""
    if found := tree.stand_in(entry):
        raise Mistake(f"{entry.path} {found.what}", found.remedy, where)


def content_of(tree: Tree, path: str, where: KeyPath = ()) -> bytes:
    """The content of the file of the config repo at ``path``. Raises Mistake where something else stands there."""
    entry_named(tree, path, where)
    content = tree.read(path)
    if found := stand_in(content):
        raise Mistake(f"{path} {found.what}", found.remedy, where)
    return content


def plain_text_of(tree: Tree, path: str, where: KeyPath = ()) -> str:
    """The text of the file at ``path``. Raises Mistake where something else stands there."""
    content = content_of(tree, path, where)
    try:
        return content.decode()
    except UnicodeDecodeError:
        problem, remedy = not_utf8(content)
        raise Mistake(f"{path}: {problem}", remedy, where) from None


def text_of(path: str, where: KeyPath, sources: Sources, *, template: bool = False) -> str:
    """A text file of the config repo; rendered where it is a ``template`` or ends in ``.j2``. Raises InventoryError."""
    text = plain_text_of(sources.tree, path, where)
    if line := whole_conflict_line(text):
        problem, remedy = MERGE_CONFLICT
        raise Mistake(f"{path}:{line}: {problem}", remedy, where)
    return sources.render(text, path) if template or path.endswith(".j2") else text


def overlaid(earlier: M, later: M) -> M:
    """``earlier`` with what ``later`` says laid over it: tuples are united in order, maps are merged by key; of two
    scalars the later one wins.

    Fields that ``later`` does not mention stay. This is for the entries of a spec (one unit, one account).
    """
    said: dict[str, object] = {name: getattr(later, name) for name in later.model_fields_set}
    for name, value in said.items():
        if isinstance(value, tuple):
            said[name] = tuple(dict.fromkeys((*getattr(earlier, name), *value)))
        elif isinstance(value, Mapping):
            said[name] = {**getattr(earlier, name), **value}
    return earlier.model_copy(update=said)


_SPECS: dict[str, type[Spec]] = {}
"""Specs that are loaded or registered, by kind."""


@cache
def _built_in() -> frozenset[str]:
    return frozenset(file.parent.name for file in Path(__file__).parent.glob("*/spec.py"))


def kinds() -> tuple[str, ...]:
    """All kinds, sorted: the folders beside this module that have a spec, and what is registered."""
    return tuple(sorted({*_built_in(), *_SPECS}))


def spec_class(kind: str) -> type[Spec]:
    """The Spec of ``kind``. Raises KeyError where there is no such kind."""
    if kind in _built_in() and kind not in _SPECS:
        module = import_module(f"agent.deploys.{kind}.spec")
        _SPECS[kind] = cast("type[Spec]", getattr(module, f"{kind.capitalize()}Spec"))
    return _SPECS[kind]


def register(spec: type[Spec]) -> None:
    """Add a further kind, ``spec.kind``, in place of any of that name."""
    _SPECS[spec.kind] = spec
