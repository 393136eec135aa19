"""The checks of ``health:``: a list of entries, each with exactly one of these keys and its options.

- http: http://127.0.0.1:8080/health     {status: [200, 204], contains: ok}
- tcp: 127.0.0.1:25                      {contains: "220 "}
- command: [nginx, -t]                   {user: www-data}
- unit: nginx.service                    {since: 10s}
- file: /run/app.pid                     {max_age: 1d}
- process: postgres                      {user: postgres, min: 2}
- certificate: /etc/ssl/web.pem          {days: 14}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from agent.deploys.written import Number, Written
from agent.domain.check import Check
from agent.domain.digest import JSON
from agent.domain.duration import DURATION, seconds
from agent.domain.fault import Mistake

LONGEST_S = 60
"""Seconds: the longest ``timeout``. A check runs while a change settles; a later answer would come too late."""

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")

Seconds = Annotated[
    int, BeforeValidator(seconds), WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"})
]
ShortText = Annotated[str, Field(min_length=1, max_length=1000)]


def _address(where: str) -> str:
    found = _ADDRESS.fullmatch(where)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise Mistake(f"{where!r} is not an address", "write host:port")
    return where


def _path_or_address(where: str) -> str:
    return where if where.startswith("/") else _address(where)


class CheckSpec(Written):
    """The options of all kinds. ``kind`` is the key that names the kind; its value is the target."""

    kind: ClassVar[str]

    name: Annotated[str, Field(max_length=100)] = ""
    """what it is called in reports; else the kind and target"""
    timeout: Annotated[Seconds, Field(ge=1, le=LONGEST_S)] = 5
    """no answer after this long is a failure"""

    @property
    def target(self) -> str:
        found = getattr(self, self.kind)
        return " ".join(map(str, found)) if isinstance(found, tuple) else str(found)


class HttpCheck(CheckSpec):
    """One request to a URL, by no proxy; redirects are an answer like any other."""

    kind = "http"
    http: ShortText
    status: Number | tuple[Number, ...] = 200
    """the status, or those, that count as well"""
    contains: ShortText | None = None
    """text that the first megabyte of the body has to hold"""
    method: Annotated[str, Field(pattern="^(GET|HEAD)$")] = "GET"
    """`GET` or `HEAD`"""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """more headers, such as Host"""
    ca: Annotated[str | None, Field(pattern="^/")] = None
    """a PEM file of authorities, instead of the system's"""
    insecure: bool = False
    """take any certificate"""

    @field_validator("http")
    @classmethod
    def _url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
            raise Mistake(f"{url!r} is not a URL", "write http://… or https://…")
        return url

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or re.search(r"[\r\n\x00]", value):
                raise Mistake(f"{name!r} is not a header of one line", "write `Name: one line of text`")
        return headers


class TcpCheck(CheckSpec):
    """A connection to `host:port`, and what is said on it."""

    kind = "tcp"
    tcp: Annotated[ShortText, AfterValidator(_address)]
    send: ShortText | None = None
    """text to say first"""
    contains: ShortText | None = None
    """text that the first answers have to hold"""


class CommandCheck(CheckSpec):
    """A program and its arguments, as a list that no shell reads. It must be quick and change nothing."""

    kind = "command"
    command: Annotated[tuple[str | Number, ...], Field(min_length=1)]
    exit: Annotated[Number, Field(ge=0, le=255)] = 0
    """the exit status that counts as well"""
    contains: ShortText | None = None
    """text that it has to write"""
    user: Annotated[str, Field(pattern=f"^{_USER.pattern}$")] = "root"
    """who runs it"""


class UnitCheck(CheckSpec):
    """A unit of systemd that is active."""

    kind = "unit"
    unit: Annotated[str, Field(pattern=f"^{_UNIT.pattern}$")]
    since: Seconds = 0
    """for at least this long, so that a crash loop is not taken for well"""
    enabled: bool | None = None
    """whether it starts at boot"""


class FileCheck(CheckSpec):
    """A file, or anything else at a path, that is there."""

    kind = "file"
    file: Annotated[ShortText, Field(pattern="^/")]
    contains: ShortText | None = None
    """text that its first megabyte has to hold"""
    max_age: Seconds | None = None
    """written to not longer ago than this"""


class ProcessCheck(CheckSpec):
    """Processes by the name of their program."""

    kind = "process"
    process: ShortText
    user: Annotated[str | None, Field(pattern=f"^{_USER.pattern}$")] = None
    """whose, else anybody's"""
    min: Annotated[Number, Field(ge=0)] = 1
    """so many at least"""
    max: Annotated[Number | None, Field(ge=0)] = None
    """so many at most"""


class CertificateCheck(CheckSpec):
    """A certificate that is still good for a while: of the PEM file at a path, or of whoever answers at `host:port`."""

    kind = "certificate"
    certificate: Annotated[ShortText, AfterValidator(_path_or_address)]
    days: Annotated[Number, Field(ge=0, le=3650)] = 14
    """for at least so many more days"""
    host: ShortText | None = None
    """the name that it has to be for; at an address that of the address"""


KINDS: Mapping[str, type[CheckSpec]] = {model.kind: model for model in CheckSpec.__subclasses__()}


def model_of(entry: Mapping[str, object]) -> type[CheckSpec]:
    """The class of an entry's kind. Raises Mistake unless the entry names exactly one kind."""
    found = [kind for kind in KINDS if kind in entry]
    if len(found) != 1:
        raise Mistake(
            "it is not said what is checked, or more than once", f"a check has exactly one of {', '.join(KINDS)}"
        )
    return KINDS[found[0]]


def check_of(deploy: str, spec: CheckSpec) -> Check:
    """``spec`` as the desired state holds it: all options, with times in seconds."""
    values: dict[str, JSON] = spec.model_dump(mode="json")
    return Check(deploy, spec.kind, spec.name or f"{spec.kind} {spec.target}"[:100], values)
