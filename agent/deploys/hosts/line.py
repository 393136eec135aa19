"""The kind ``hosts``: the line of one address in /etc/hosts, ``hosts:/etc/hosts#192.0.2.10``.

The format is hosts(5): an address, its names, and a comment behind a #.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import cast

from agent.deploys.edits import Edit, end, split
from agent.deploys.files.part import Part, rewrite
from agent.deploys.items import Item
from agent.deploys.kind import state_before
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError

_LINES_LIMIT = 1000
"""The most lines of one address that become one. A file with more is a list of names to block."""


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The canonical form of an IP address; empty for any other text. An IPv4 address that is mapped into IPv6 counts as
    IPv4, as for glibc. A zone (``fe80::1%eth0``) is none of hosts(5)."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return "" if "%" in text else f"{getattr(address, 'ipv4_mapped', None) or address}"


@dataclass(frozen=True, slots=True)
class AddressEdit(Edit):
    """The lines of an ``address``, which become one with these ``names``.

    Here a newline stands between two lines, and the last line may be empty. So a text keeps the end that it has.
    """

    address: str
    names: tuple[str, ...] = ()

    def numbers(self, lines: Sequence[str]) -> list[int]:
        found = [
            number
            for number, line in enumerate(lines)
            if (words := line.partition("#")[0].split()) and canonical(words[0]) == self.address
        ]
        if len(found) > _LINES_LIMIT:
            raise DeployError(f"{len(found)} lines have the address {self.address}", hint="leave it to who wrote them")
        return found

    def apply(self, text: str) -> str:
        """The text with one line of the address. The first one stays where it is, with its comment. A new one goes to
        the end of the text; if the last line has no newline, before that line."""
        lines = text.split("\n")
        mine = self.numbers(lines)
        if not mine:
            lines.insert(len(lines) - 1, self._named(end(split(text)).removesuffix("\n")))
            return "\n".join(lines)
        first, *others = mine
        said = lines[first].partition("#")[0]
        if tuple(said.split()[1:]) != self.names:
            lines[first] = self._named(lines[first][len(said.rstrip()) :])
        for number in reversed(others):
            del lines[number]
        return "\n".join(lines)

    def found(self, text: str) -> str:
        """The lines of the address as they stand in a text. Only the last line of a text may have no newline."""
        *lines, last = text.split("\n")
        lines = [*(f"{line}\n" for line in lines), last]
        return "".join(lines[number] for number in self.numbers(lines))

    def without(self, text: str) -> str:
        return "\n".join(self._others(text.split("\n")))

    def put_back(self, were: str, at: Sequence[int], text: str) -> str:
        """The text with the lines that ``were`` found there, in place of those of the address; if there are none, at
        their old numbers, ``at``."""
        lines = text.split("\n")
        there = self.numbers(lines)
        moved = there[0] - at[0] if there else 0
        lines = self._others(lines)
        ended = were.endswith("\n")
        for number, line in zip(at, were.removesuffix("\n").split("\n"), strict=True):
            lines.insert(min(number + moved, len(lines) - ended), line)
        return "\n".join(lines)

    def _named(self, behind: str) -> str:
        return f"{self.address} {' '.join(self.names)}{behind}"


class HostsLine(Part):
    """State: ``sha256`` of the lines of the address, which are also the image, and ``at``, their numbers, from 0."""

    def edit(self, item: Item) -> AddressEdit:
        return AddressEdit(item.part or "", tuple((item.text or "").split()))

    def named(self, part: str) -> AddressEdit:
        return AddressEdit(part)

    def seen(self, part: str, text: str) -> Seen | None:
        found = super().seen(part, text)
        return found and Seen({**found.state, "at": self.named(part).numbers(text.split("\n"))}, found.image)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        path, _, part = entry.name.partition("#")
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: the lines that it replaced were not kept")
        were = image.decode(errors="surrogateescape")
        rewrite(path, partial(self.named(part).put_back, were, cast("Sequence[int]", before["at"])))
