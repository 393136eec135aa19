"""Deploys of one host that want the same thing differently, or rely on what another one takes away. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.deploys.files.spec import PRIVATE_FILE
from agent.deploys.items import Item
from agent.deploys.kind import PathShape, row_of
from agent.deploys.spec import Concrete
from agent.domain.desired import Resource
from agent.domain.fault import Fault


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two deploys want the same differently: ``deploy`` wants ``resource``, ``earlier`` wants ``other``. Both are one
    resource, or lie at one path."""

    deploy: str
    resource: str
    earlier: str
    other: str

    @property
    def problem(self) -> str:
        other = "" if self.other == self.resource else f" ({self.other})"
        return f'{self.resource} is wanted differently by "{self.earlier}"{other}'

    @property
    def remedy(self) -> str:
        if PRIVATE_FILE in (self.resource.partition(":")[0], self.other.partition(":")[0]):
            return "write all lines and blocks of a file with a secret in one deploy"
        return "leave it to one of them: each would undo what the other did"


def conflicts(deploys: Iterable[tuple[str, Iterable[Resource]]]) -> Iterator[Conflict]:
    """Conflicts between ``deploys`` (by name, in order), at most one for each resource of the later deploy."""
    taken: dict[str, tuple[str, Resource]] = {}
    for name, resources in deploys:
        for resource in resources:
            takes, avoids = _places(resource)
            for earlier, other in (taken[place] for place in avoids if place in taken):
                same = (other.key, other.digest) == (resource.key, resource.digest)
                if earlier != name and not same:
                    yield Conflict(name, resource.key, earlier, other.key)
                    break
            for place in takes:
                taken.setdefault(place, (name, resource))


def contradictions(deploys: Iterable[tuple[str, Concrete]]) -> Iterator[tuple[str, str, Fault]]:
    """A fault for each property of a shared resource that two of ``deploys`` (by name, in order) want differently, with
    the later deploy and the key of the resource."""
    said: dict[tuple[str, str], tuple[str, str]] = {}
    for name, concrete in deploys:
        for key, properties in concrete.properties.items():
            for words, digest in properties.items():
                earlier, other = said.setdefault((key, words), (name, digest))
                if other != digest:
                    remedy = f"say it in one of them, or call both {earlier}: then they are merged"
                    yield name, key, Fault(f'{key}: "{earlier}" wants {words} differently', remedy)


def unmet_needs(deploys: Sequence[tuple[str, Concrete]]) -> Iterator[tuple[str, Fault]]:
    """A fault for each package that a deploy relies on, but that another deploy takes away or brings only after it.
    ``deploys``: by name, in order. A package that no deploy mentions may be on the host."""
    said = [(name, resource) for name, concrete in deploys for resource in concrete.resources]
    there: set[str] = set()
    for name, concrete in deploys:
        there.update(resource.key for resource in concrete.resources if not resource.absent)
        for key, what_for in concrete.relies_on.items():
            others = [(other, resource.absent) for other, resource in said if resource.key == key]
            if others and key not in there:
                other, absent = others[0]
                how = "takes away" if absent else "brings only after it"
                remedy = "take one of the two out" if absent else f"write `needs: [{other}]`, or put that before"
                package = key.partition(":")[2]
                yield name, Fault(f'{what_for}, and "{other}" {how} the package {package}', remedy)


def _places(resource: Resource) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The places that a resource takes, and the places that must be free for it. A file has one owner, or several that
    own parts of it. Several deploys may want one folder; a file or link at its path is a conflict."""
    key = resource.key
    kind, _, name = key.partition(":")
    row = row_of(kind)
    match row.shape:
        case PathShape.FOLDER if resource == Item(path=name, kind=kind).resource:
            return (f"parent {name}",), (f"file {name}", f"parts {name}")  # a link to a folder will do as well
        case PathShape.FOLDER:
            return (f"folder {name}",), (f"whole {name}", f"parts {name}")
        case PathShape.FILE:
            avoids = (f"whole {name}", f"parts {name}", f"folder {name}", f"parent {name}")
            return (f"whole {name}", f"file {name}"), avoids
        case PathShape.LINK:
            return (f"whole {name}",), (f"whole {name}", f"parts {name}", f"folder {name}")
        case PathShape.PART:
            path = name.partition("#")[0]
            whole = (f"whole {path}", f"folder {path}", f"parent {path}", f"{PRIVATE_FILE}:{path}")
            return (key, f"parts {path}"), (key, *whole)
    avoided = f"parts {name}" if kind == PRIVATE_FILE else key
    return ((), ()) if row.shared else ((key,), (avoided,))
