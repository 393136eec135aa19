"""hosts: names of addresses, each a line of /etc/hosts whose other lines are not touched.

- hosts:
    192.0.2.10: [db1.example.org, db1]
    2001:db8::10: db1.example.org
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from agent.deploys.hosts.line import canonical
from agent.deploys.items import Item, concrete_items
from agent.deploys.spec import ByName, Concrete, NamedEntry, Sources, by_full_name
from agent.deploys.written import checked
from agent.domain.fault import Mistake

PATH = "/etc/hosts"

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
"""RFC 1123. The last label is not all digits, so that no address passes for a name."""

_LOCAL = "a host always keeps localhost as it is"


def _not_localhost(name: str) -> str:
    labels = name.lower().split(".")
    if "localhost" in (labels[0], labels[-1]):
        raise Mistake(f"{name} is the host itself", f"leave it out: {_LOCAL}")
    return name


def _address(text: str) -> str:
    address = canonical(text)
    if not address:
        raise Mistake(
            f"{text!r} is not an IP address", "write it before its names, `192.0.2.10: [db1.example.org, db1]`"
        )
    if address in ("127.0.0.1", "::1"):
        raise Mistake(f"{address} is the address of localhost", f"leave it out: {_LOCAL}")
    return address


HostName = Annotated[
    str,
    checked(_NAME.fullmatch, "the name of a host", "write names like db1.example.org behind their address"),
    AfterValidator(_not_localhost),
]
HostNames = Annotated[tuple[HostName, ...], Field(min_length=1, max_length=100)]


class HostsEntry(NamedEntry):
    """The names of one address."""

    names: HostNames
    """Names of the address; the first one is the canonical name. A later play's names go behind those of an earlier."""


def _as_entry(entry: object) -> object:
    """``entry``; names alone become the ``names`` of an entry."""
    if isinstance(entry, str):
        return {"names": [entry]}
    return {"names": entry} if isinstance(entry, (list, tuple)) else entry


EntryOrNames = Annotated[
    HostsEntry, BeforeValidator(_as_entry, json_schema_input_type=HostsEntry | HostNames | HostName)
]


class HostsSpec(ByName):
    kind: ClassVar[str] = "hosts"
    level: ClassVar[str] = "entries"

    entries: dict[str, EntryOrNames] = Field(default_factory=dict)
    """By address, IPv4 or IPv6. In the short form this level is left out."""

    @field_validator("entries")
    @classmethod
    def _by_address(cls, entries: dict[str, HostsEntry]) -> dict[str, HostsEntry]:
        return by_full_name(entries, _address)

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        items, resources = concrete_items(
            [
                Item(kind="hosts", path=PATH, part=address, text=" ".join(entry.names))
                for address, entry in self.entries.items()
            ]
        )
        return Concrete({"items": items}, resources)
