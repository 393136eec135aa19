"""The rules for what an archive may hold, checked for each member before it is written, and for all together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Protocol

from agent.domain.stand_in import StandIn
from agent.domain.text import printable
from agent.domain.tree import destination
from agent.errors import Consequence, DeployError
from agent.problems import ProblemKind


class ArchiveError(DeployError):
    """An archive is broken, or holds something that may not be unpacked."""

    default_kind = ProblemKind.ARCHIVE_REFUSED
    consequence = Consequence.STALL


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that honest archives stay below. An archive may unpack to ``ratio`` times its own bytes; ``floor`` bytes
    are always allowed, and ``total`` bytes are the most. ``header``: bytes that describe one member. ``path``: bytes of
    one path. ``members``: their number."""

    members: int = 100_000
    total: int = 4 * 1024**3
    ratio: int = 200
    floor: int = 64 * 1024**2
    header: int = 1024**2
    path: int = 1024

    def bytes_for(self, size: int) -> int:
        """The bytes that an archive of ``size`` bytes may unpack to."""
        return min(self.total, max(self.floor, self.ratio * size))


HONEST = Limits()


class Type(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    """Symbolic."""
    SAME = "same"
    """A further name of a file that came before: a hard link."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive. ``path`` has no ``.``, ``..`` or empty part. ``target``: the text of a link, or the path
    of the file that a hard link names again. ``size``: bytes."""

    path: str
    type: Type
    size: int = 0
    executable: bool = False
    target: str = ""
    stand_in: StandIn | None = None
    """The kind of file, such as a Git LFS pointer, that stands in the place of the real content; None for that."""


class Content(Protocol):
    """A file's bytes, from the front."""

    def read(self, size: int = -1, /) -> bytes: ...


Members = Iterator[tuple[Member, Content | None]]
"""Members, each with its content, which must be read before the next member; None for one without content."""


@dataclass(slots=True)
class MemberCheck:
    """The check of the members of the archive ``name``, one by one as they come, and of all together. ``left``: bytes
    that further members may unpack to."""

    name: str
    limits: Limits
    left: int
    _seen: dict[str, Member] = field(default_factory=dict)

    def refused(self, reason: str) -> ArchiveError:
        return ArchiveError(f"{self.name}: {printable(reason, 500)}", hint="nothing of it is used")

    def checked(self, found: Members) -> Members:
        for count, (member, content) in enumerate(found, 1):
            if count > self.limits.members:
                raise self.refused(f"it holds more than {self.limits.members} files")
            self.left -= member.size
            if self.left < 0:
                raise self.refused(f"{member.path} makes it larger than anything honest of its size would become")
            if self._take(member):
                yield member, content
        for member in self._seen.values():
            if member.type is Type.LINK and destination(member.path, self._target) is None:
                raise self.refused(f"{member.path} is a link that leads out of it, to {member.target}, or in a circle")

    def path(self, written: str) -> str:
        """``written`` without empty parts and ``.``: ``a/b`` for ``./a/b/``, empty for the top itself. Raises
        ArchiveError for a path that leads out of the archive or cannot be written."""
        if written.startswith("/"):
            raise self.refused(f"{written} is an absolute path")
        parts = [part for part in written.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refused(f"{written} leads out of it")
        path = "/".join(parts)
        try:
            length = len(path.encode())
        except UnicodeEncodeError:
            raise self.refused(f"{written} is not UTF-8") from None
        if length > self.limits.path or "\0" in path:
            raise self.refused(f"{printable(written, 80)} is no path that can be written")
        return path

    def _take(self, member: Member) -> bool:
        """Note ``member``. Return False for the top folder and for a folder that is known already. Raises
        ArchiveError."""
        if not member.path:
            if member.type is Type.DIRECTORY:
                return False
            raise self.refused("it holds a file without a name")
        for parent in (f"{parent}" for parent in PurePosixPath(member.path).parents if parent.name):
            above = self._seen.setdefault(parent, Member(parent, Type.DIRECTORY))
            if above.type is not Type.DIRECTORY:
                raise self.refused(f"{member.path} leads through {parent}, which is a {above.type}")
        known = self._seen.setdefault(member.path, member)
        if known is not member and not (known.type is member.type is Type.DIRECTORY):
            raise self.refused(f"{member.path} is in it twice")
        if member.type is Type.SAME:
            first = self._seen.get(member.target)
            if first is None or first.type not in (Type.FILE, Type.SAME):
                raise self.refused(f"{member.path} is to be the same as {member.target}, which is no file before it")
        return known is member

    def _target(self, path: str) -> str | None:
        met = self._seen.get(path)
        return met.target if met is not None and met.type is Type.LINK else None
