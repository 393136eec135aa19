"""Complaints: mistakes in the administrator's files, each with its place and what to write instead, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from agent.domain.digest import JSON
from agent.domain.fault import KeyPath, Mistake, key_path
from agent.domain.near import near
from agent.domain.sealed import shown
from agent.domain.text import escaped
from agent.errors import HostwrightError, InventoryError
from agent.system.document import Node, Position, locate
from agent.system.remote import without_password
from agent.system.yaml import YamlError


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One mistake. ``path``: the key as people write it (``[0].deploys[1].files.mode``). ``host``: the host for which a
    template or a merge fails; empty when the file itself is wrong."""

    position: Position
    path: str
    problem: str
    remedy: str
    host: str = ""

    def document(self) -> dict[str, JSON]:
        """The complaint for programs. ``line`` and ``column`` count from 1; 0 means the whole file."""
        return {
            "file": self.position.file,
            "line": self.position.line,
            "column": self.position.column,
            "path": self.path,
            "message": self.problem,
            "remedy": self.remedy,
            "hosts": self.host,
        }

    @property
    def text(self) -> str:
        """The complaint for people, without its place: one line, whatever it quotes."""
        hosts = "hosts" if " and " in self.host else "host"
        parts = (self.path, self.problem + (f" ({hosts} {self.host})" if self.host else ""))
        return escaped(": ".join(part for part in parts if part) + (f"; {self.remedy}" if self.remedy else ""))

    def __str__(self) -> str:
        return f"{escaped(str(self.position))}: {self.text}"


class ComplaintsError(InventoryError):
    """All complaints about an inventory, as one error."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        lines = (*map(str, self.complaints),)
        super().__init__(
            "\n".join(lines),
            hint="correct these places in the config repository; `hostwright check` there finds them all",
            lines=lines,
        )

    def details(self) -> Mapping[str, JSON]:
        return {"complaints": [complaint.document() for complaint in self.complaints]}


class Complained(Exception):
    """A value is wrong, and the complaint about it has been added."""


@dataclass(slots=True)
class Complaints:
    """A collection of complaints, about ``host`` unless that is empty. The same complaint about several hosts is kept
    once. Passwords are taken out of URLs that complaints quote: logs of CI have more readers than the repository."""

    host: str = ""
    unseen: dict[str, HostwrightError] = field(default_factory=dict)
    """Errors about other repositories that are not here or cannot be read, by message. Their files are not checked."""
    _found: dict[Complaint, list[str]] = field(default_factory=dict)

    def add(self, position: Position, path: KeyPath, problem: str, remedy: str, *, host: str = "") -> None:
        self.put(Complaint(position, key_path(path), problem, remedy, host or self.host))

    def refuse(self, position: Position, path: KeyPath, problem: str, remedy: str) -> NoReturn:
        """Add the complaint and raise Complained."""
        self.add(position, path, problem, remedy)
        raise Complained

    def put(self, complaint: Complaint) -> None:
        path, problem, remedy = (
            without_password(shown(text)) for text in (complaint.path, complaint.problem, complaint.remedy)
        )
        said = replace(complaint, host="", path=path, problem=problem, remedy=remedy)
        self._found.setdefault(said, []).append(complaint.host)

    def take(self, error: YamlError | ComplaintsError) -> None:
        """Add the complaints, or the problems of the YAML, that ``error`` holds."""
        if isinstance(error, ComplaintsError):
            for complaint in error.complaints:
                self.put(complaint)
        else:
            for problem in error.problems:
                self.add(problem.position, (), problem.problem, problem.remedy)

    @contextmanager
    def of(self, place: Node | Position, path: KeyPath = ()) -> Iterator[None]:
        """Turn a Mistake raised within into complaints about the value at ``place``, to which ``path`` leads. Where
        ``place`` is a node, each fault gets the position of the value inside that it is about."""
        try:
            yield
        except Mistake as mistake:
            for fault in mistake.faults:
                position = place if isinstance(place, Position) else locate(place, fault.path)
                self.add(position, (*path, *fault.path), fault.problem, fault.remedy)

    def include(self, others: Complaints) -> None:
        for complaint, hosts in others._found.items():
            self._found.setdefault(complaint, []).extend(hosts)
        self.unseen.update(others.unseen)

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def sorted(self) -> tuple[Complaint, ...]:
        """All complaints, sorted by place. One without a key path is left out where another has its place and
        problem."""
        placed = {(found.position, found.problem) for found in self._found if found.path}
        return tuple(
            sorted(
                replace(found, host=_named(hosts))
                for found, hosts in self._found.items()
                if found.path or (found.position, found.problem) not in placed
            )
        )

    @property
    def errors(self) -> tuple[HostwrightError, ...]:
        """One error for all complaints, if there are any, and the errors in ``unseen``."""
        complained = (ComplaintsError(found),) if (found := self.sorted) else ()
        return (*complained, *self.unseen.values())

    def raise_if_any(self) -> None:
        """Raise all complaints as one ComplaintsError, sorted by place."""
        if found := self.sorted:
            raise ComplaintsError(found)


def nearest(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """``did you mean …?`` for a word that is close to a known one, else ``otherwise``."""
    found = near(word, known)
    return f'did you mean "{found[0]}"?' if found else otherwise


def unknown_key(key: object, known: Sequence[str]) -> tuple[str, str]:
    """Problem and remedy for an unknown key."""
    return f'unknown key "{key}"', nearest(str(key), known, otherwise=f"known here: {', '.join(known)}")


def _named(hosts: Sequence[str]) -> str:
    names = list(dict.fromkeys(host for host in hosts if host))
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} more"
    return " and ".join(names)
