"""The kind ``timezone``: the link /etc/localtime, and /etc/timezone beside it (``timezone:host``)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.at_path import Attributes, look
from agent.deploys.correction import Correction, refusal
from agent.deploys.kind import Kind, ResourceState, state_before
from agent.deploys.writing import put_file, put_link, remove
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError
from agent.system.safe_open import folder

KEY = "timezone:host"
_LINK, _FILE = "localtime", "timezone"
_ZONES = "/usr/share/zoneinfo"
_FILE_ATTRIBUTES = Attributes(0o644, 0, 0)


class Timezone(Kind):
    """State: ``link`` (the target of /etc/localtime) and ``file`` (the text of /etc/timezone); None for one that is not
    there. The image is the content of an /etc/localtime that is a file."""

    inert = True

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def look(self, name: str) -> Seen | None:  # noqa: ARG002 - a host has one
        with self._etc() as etc:
            link, file = look(etc, _LINK), look(etc, _FILE)
        if link.status is None and file.status is None:
            return None
        said = None if file.content is None else file.content.decode(errors="replace")
        return Seen({"link": link.target, "file": said}, link.content)

    def corrections(self, arguments: Mapping[str, JSON], _root: Path = Path("/")) -> Sequence[Correction]:
        """The correction of the host's time zone, or of /etc/timezone alone; a refusal if the host does not know the
        zone. Raises OSError where nobody may look."""
        zone = f"{arguments['zone']}"
        if not (self._root / _ZONES.lstrip("/") / zone).is_file():
            error = DeployError(f"this host has no time zone {zone}", hint="install or update the package tzdata")
            return [refusal(KEY, error)]
        now = self.look(KEY)
        state = now.state if now is not None else {}
        words = [f"set to {zone} (was {_zone(state) or 'none'})"] if _zone(state) != zone else []
        words += ["write /etc/timezone"] if state.get("file") != f"{zone}\n" else []
        return [Correction(WantedChange(KEY, ", ".join(words)), self.make, zone)] if words else []

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        yield from about.through(self._root / _ZONES.lstrip("/") / f"{arguments['zone']}")
        for name in (_LINK, _FILE):
            yield from about.at(self._root / "etc" / name)

    def make(self, zone: str) -> None:
        """Set the host's time zone. Raises OSError."""
        self._put({"link": f"{_ZONES}/{zone}", "file": f"{zone}\n"}, None)

    def changed(self, left: ResourceState, now: Seen) -> str:
        return "" if _zone(now.state) == _zone(left) else f"it is {_zone(now.state) or 'not a link to a zone'}"

    def remove_one(self, entry: LedgerEntry) -> None:  # noqa: ARG002 - a host has one
        self._put({}, None)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        self._put(state_before(entry), image)

    def _put(self, state: ResourceState, image: bytes | None) -> None:
        link, file = state.get("link"), state.get("file")
        with self._etc() as etc:
            if link is not None:
                put_link(etc, _LINK, f"{link}", backup=False)
            else:
                _put_file(etc, _LINK, image)
            _put_file(etc, _FILE, None if file is None else f"{file}".encode())

    def _etc(self) -> AbstractContextManager[int]:
        return folder(None, f"{self._root / 'etc'}".strip("/"), root_links=True)


def _put_file(etc: int, name: str, content: bytes | None) -> None:
    if content is not None:
        put_file(etc, name, content, _FILE_ATTRIBUTES, backup=False)
    elif look(etc, name).status is not None:
        remove(etc, name, backup=False)


def _zone(state: ResourceState) -> JSON:
    """The zone that /etc/localtime points to, by an absolute link or a relative one; None for any other."""
    target = posixpath.normpath(posixpath.join("/etc", f"{state.get('link')}"))
    return target.removeprefix(f"{_ZONES}/") if target.startswith(f"{_ZONES}/") else None


corrections, questions = Timezone().corrections, Timezone().questions
