"""fleet.yaml: rhythm, trust, status, windows and suspensions of a fleet. All keys are optional.

This version reads some keys that only a later version honours. It refuses every value but their default, so that nobody
relies on waves that do nothing. The version that honours a key deletes its row in ``NOT_IN_FORCE``.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from operator import attrgetter
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from agent.deploys.written import ExactlyWritten
from agent.domain import memory
from agent.domain.commit import Accept, BranchRule
from agent.domain.duration import DURATION, seconds
from agent.domain.fault import Mistake
from agent.domain.report import LATEST
from agent.domain.tree import Tree
from agent.domain.window import LONGEST_S, Window
from agent.inventory import validation
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.providers import ProviderSettings
from agent.inventory.source import Source, open_source
from agent.system import timezone
from agent.system.document import Node, locate
from agent.system.remote import concealed, mistake

FLEET_FILE = "fleet.yaml"

NOT_IN_FORCE = (("status", "shards"), ("waves",), ("metrics",), ("notify",))
"""Keys that this version reads and cannot honour; only their defaults are accepted."""


INSTANT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})"
"""ISO 8601 as people write it. The reader of YAML gives YAML's own timestamps in this form too."""


def _instant(value: object) -> int:
    try:
        written = isinstance(value, str) and re.fullmatch(INSTANT, value)
        moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) and written else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 0 <= moment.timestamp() <= LATEST:
        raise Mistake(f"{value!r} is not a moment", "write 2026-12-01T06:00Z, with a time zone")
    return int(moment.timestamp())


def _zone(name: str) -> str:
    try:
        timezone.zone(name)
    except ValueError as error:
        raise Mistake(str(error), nearest(name, timezone.names(), otherwise="write UTC, Europe/Berlin")) from error
    return name


WrittenDuration = Annotated[
    int,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$", "examples": ["60s", "30m", "4h"]}),
]
"""Written ``60s 30m 4h 2d``, kept in seconds."""

WrittenInstant = Annotated[
    int, BeforeValidator(_instant), WithJsonSchema({"type": "string", "pattern": f"^{INSTANT}$"})
]
"""Written in ISO 8601 with a time zone, kept in seconds since the epoch."""

Pattern = Annotated[str, Field(min_length=1, description="a host pattern, such as web:&production:!canary")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Percent = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})%$")]


class Schedule(ExactlyWritten):
    """Durations in seconds."""

    fetch: Annotated[WrittenDuration, Field(ge=1)] = 60
    """how often the remote is asked for something new"""
    drift: Annotated[WrittenDuration, Field(ge=1)] = 60
    """how often the daemon asks whether anything on the host has changed"""
    plan: Annotated[WrittenDuration, Field(ge=1)] = 1800
    """how often a cycle runs though nothing seems to have changed"""
    settle: WrittenDuration = 60
    """how long an intended change has to come up well"""
    deploy_timeout: Annotated[WrittenDuration, Field(ge=1)] = 1800
    """the longest that one deploy may take"""
    watch: bool = False
    """look as soon as something changes, and not only every `drift`"""


class Tags(ExactlyWritten):
    tags: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/*?!+\[\]-]{1,200}$")]
    """annotated, signed tags, such as v*"""


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _or_alone(schema: dict[str, Any]) -> None:
    """Change the schema of a non-empty list so that a single item is allowed too."""
    del schema["type"], schema["minLength"]  # pydantic takes what is behind a validator for a text
    item = schema.pop("items")
    schema["anyOf"] = [{"type": "array", "items": item, "minItems": 1}, item]


class Trust(ExactlyWritten):
    mode: Literal["signed", "unsigned"] = "signed"
    """what is meant; each host's own agent.yaml decides"""
    accept: Annotated[
        tuple[Literal["commits"] | Tags, ...],
        BeforeValidator(_listed),
        Field(strict=False, min_length=1, json_schema_extra=_or_alone),
    ] = ("commits",)
    """what is taken as new: commits, {tags: "v*"}"""

    branch: Literal["unseen", "named", "any"] = "unseen"
    """how a signed commit shows that it is meant for the branch that a host follows"""

    @property
    def accepts(self) -> Accept:
        tags = tuple(item.tags for item in self.accept if isinstance(item, Tags))
        return Accept("commits" in self.accept, tags, BranchRule(self.branch))


def _git_url(text: str) -> str:
    if text != "same" and (wrong := mistake(text)) is not None:
        raise Mistake(
            f"{concealed(text)!r} is no Git URL: {wrong}",
            "write ssh://…, https://…, git@host:path or an absolute path; or same",
        )
    return text


class StatusSettings(ExactlyWritten):
    remote: Annotated[str, AfterValidator(_git_url), Field(min_length=1)] = "same"
    """where reports go: same, or a Git URL"""
    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """status branches that share the load"""
    pushes_per_minute: Annotated[int, Field(ge=1, le=600)] = 6
    """what the Git server may be asked for"""
    diff: Literal["own", "none"] = "own"
    """own: counts of changes are reported; none: not"""
    render: Literal["hosts", "none"] = "hosts"
    """who writes the table in README.md"""


class Suspend(ExactlyWritten):
    """Hosts that take nothing new. ``until`` is in seconds since the epoch; None means until this entry is removed."""

    hosts: Pattern
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """shown wherever the hold is"""
    until: WrittenInstant | None = None


class WindowSettings(ExactlyWritten):
    """A time window in which hosts may take what is new in Git."""

    hosts: Pattern
    days: Annotated[tuple[Weekday, ...], Field(strict=False)] = ()
    """on which days it begins; none: every day"""
    from_: Annotated[str, Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """when it begins, such as 02:00"""
    for_: Annotated[WrittenDuration, Field(alias="for", ge=1, le=LONGEST_S)]
    """how long it lasts, 7d at most"""
    tz: Annotated[str, AfterValidator(_zone)] = "UTC"
    """an IANA time zone, such as Europe/Berlin"""
    drift: Literal["repair", "hold"] = "repair"
    """what was changed by hand outside of windows: repaired, or not"""

    @property
    def settings(self) -> Window:
        return Window(
            days=tuple(get_args(Weekday).index(day) for day in self.days),
            from_minute=int(self.from_[:2]) * 60 + int(self.from_[3:]),
            for_s=self.for_,
            tz=self.tz,
            holds_drift=self.drift == "hold",
        )


class Wave(ExactlyWritten):
    name: Annotated[str, Field(min_length=1)]
    hosts: Pattern
    soak: WrittenDuration = 0
    min_ok: Percent = "50%"
    max_failed: Annotated[int, Field(ge=0)] = 0
    stale_after: WrittenDuration = 7200


class Prune(ExactlyWritten):
    max: Annotated[int, Field(ge=0)] = 10
    """how many resources may be removed at once"""
    max_percent: Annotated[int, Field(ge=0, le=100)] = 20
    """how many, of a hundred that the ledger of the host holds; never fewer than 5"""


class RebootSettings(ExactlyWritten):
    """Hosts that are rebooted when something installed needs it, inside their windows."""

    hosts: Pattern
    when: Literal["required"] = "required"


class Agent(ExactlyWritten):
    version: Annotated[str | None, Field(pattern=r"^[0-9][0-9A-Za-z.+!]{0,60}(\.\*)?$")] = None
    """which to run, pinned by `hostwright lock`: 1.2.0 or 1.*; none: the one that is there"""

    @property
    def requirement(self) -> str | None:
        """The requirement as pip writes it."""
        return None if self.version is None else f"hostwright=={self.version}"


def _listen(written: str) -> str:
    host, _, port = written.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        number = 0
    if not 1024 <= number <= 65535 or (":" in host) is not host.startswith("["):
        raise Mistake(f"{written!r} is nowhere to listen", "write an address and a port from 1024 on: 127.0.0.1:9443")
    return written


class WebhookSettings(ExactlyWritten):
    """The address at which a forge may say that something was pushed."""

    listen: Annotated[str, AfterValidator(_listen)]
    """address and port of the host: 127.0.0.1:9443"""
    secret_file: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]+$")]
    """path on the host, root's alone"""

    @property
    def settings(self) -> memory.Webhook:
        host, _, port = self.listen.rpartition(":")
        return memory.Webhook(host.strip("[]"), int(port), self.secret_file)


class Metrics(ExactlyWritten):
    textfile: str | None = None
    listen: str | None = None


NOTHING = "none"
"""Written for a key of fleet.yaml: as without that key."""

NONE_BY_DEFAULT = ("suspend", "windows", "waves", "agent", "webhook", "metrics", "notify")
"""Keys of fleet.yaml that may be ``NOTHING``."""


class Fleet(ExactlyWritten):
    """The whole file, with its defaults. A key with nothing behind it counts as not written."""

    schedule: Schedule = Schedule()
    trust: Trust = Trust()
    status: StatusSettings = StatusSettings()
    suspend: Annotated[tuple[Suspend, ...], Field(strict=False)] = ()
    windows: Annotated[tuple[WindowSettings, ...], Field(strict=False)] = ()
    waves: Annotated[tuple[Wave, ...], Field(strict=False)] = ()
    prune: Prune = Prune()
    reboot: Literal["never"] | RebootSettings = "never"
    """`never`, or hosts that may be: {hosts: web, when: required}"""
    agent: Agent = Agent()
    webhook: WebhookSettings | None = None
    providers: ProviderSettings = ProviderSettings()
    metrics: Metrics | None = None
    notify: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {
            key: said
            for key, said in value.items()
            if (said is not None or key not in cls.model_fields) and not (said == NOTHING and key in NONE_BY_DEFAULT)
        }


def read_fleet(tree: Tree, name: str) -> Fleet:
    """fleet.yaml of the inventory ``name`` alone. Raises InventoryError with every complaint about it."""
    complaints = Complaints()
    fleet, _ = read_fleet_file(open_source(tree, name), complaints)
    complaints.raise_if_any()
    return fleet


def read_fleet_file(source: Source, complaints: Complaints) -> tuple[Fleet, Node | None]:
    """The fleet, the defaults where it is not valid, and the node of the file; None where that is no mapping. Mistakes
    go to ``complaints``."""
    root = source.mapping(FLEET_FILE, complaints, "write `schedule: …` and the like")
    fleet = validation.validated(Fleet, root, complaints) if root is not None else None
    if root is None or fleet is None:
        return Fleet(), root
    for path in NOT_IN_FORCE:
        value = attrgetter(".".join(path))
        if value(fleet) != value(Fleet()):
            complaints.add(locate(root, path), path, "not in force in this version", "remove it")
    return fleet, root
