"""fleet.yaml: rhythm, trust, status, windows and suspensions of a fleet. All keys are optional.

This version reads some keys that only a later version honours. It refuses every value but their default: nobody shall
believe in waves that do nothing. The version that honours a key deletes its row in ``NOT_IN_FORCE``.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from agent.domain import memory
from agent.domain.commit import Accept, BranchRule
from agent.domain.duration import DURATION, seconds
from agent.domain.fault import Mistake, Path
from agent.domain.report import LATEST
from agent.domain.tree import Tree
from agent.domain.window import LONGEST_S
from agent.inventory import validation
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.providers import ProviderSettings
from agent.inventory.source import Source, open_source
from agent.system import timezone
from agent.system.yaml import Node, locate

FLEET_FILE = "fleet.yaml"

NOT_IN_FORCE: tuple[Path, ...] = (
    ("status", "shards"),
    ("waves",),
    ("metrics",),
    ("notify",),
)
"""Keys that this version reads and cannot honour; only their defaults are accepted."""


INSTANT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})"
"""ISO 8601 as people write it; YAML's own timestamps become so."""


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


Duration = Annotated[
    int,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$", "examples": ["60s", "30m", "4h"]}),
]
"""Written ``60s 30m 4h 2d``, kept in seconds."""

Instant = Annotated[int, BeforeValidator(_instant), WithJsonSchema({"type": "string", "pattern": f"^{INSTANT}$"})]
"""Written in ISO 8601 with a time zone, kept in seconds since the epoch."""

Pattern = Annotated[str, Field(min_length=1, description="a host pattern, such as web:&production:!canary")]
Percent = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})%$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Schedule(_Part):
    """Durations in seconds."""

    fetch: Annotated[Duration, Field(ge=1, description="how often the remote is asked for something new")] = 60
    drift: Annotated[
        Duration, Field(ge=1, description="how often the daemon asks whether anything on the host has changed")
    ] = 60
    plan: Annotated[
        Duration, Field(ge=1, description="how often a cycle runs though nothing seems to have changed")
    ] = 1800
    settle: Annotated[Duration, Field(description="how long an intended change has to come up well")] = 60
    deploy_timeout: Annotated[Duration, Field(ge=1, description="the longest that one deploy may take")] = 1800
    watch: Annotated[bool, Field(description="look as soon as something changes, and not only every `drift`")] = False


class Tags(_Part):
    tags: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._/*?!+\[\]-]{1,200}$", description="annotated, signed tags, such as v*")
    ]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _or_alone(schema: dict[str, Any]) -> None:
    """Change the schema of a non-empty list so that a single item is allowed too."""
    del schema["type"], schema["minLength"]  # pydantic takes what is behind a validator for a text
    item = schema.pop("items")
    schema["anyOf"] = [{"type": "array", "items": item, "minItems": 1}, item]


class Trust(_Part):
    mode: Annotated[
        Literal["signed", "unsigned"], Field(description="what is meant; each host's own agent.yaml decides")
    ] = "signed"
    accept: Annotated[
        tuple[Literal["commits"] | Tags, ...],
        BeforeValidator(_listed),
        Field(
            strict=False,
            min_length=1,
            description='what is taken as new: commits, {tags: "v*"}',
            json_schema_extra=_or_alone,
        ),
    ] = ("commits",)

    branch: Annotated[
        Literal["unseen", "named", "any"],
        Field(description="how a signed commit shows that it is meant for the branch that a host follows"),
    ] = "unseen"

    @property
    def accepts(self) -> Accept:
        tags = tuple(item.tags for item in self.accept if isinstance(item, Tags))
        return Accept("commits" in self.accept, tags, BranchRule(self.branch))


def _git_url(text: str) -> str:
    if text != "same" and not text.startswith("/") and ":" not in text:
        raise Mistake(f"{text!r} is no Git URL", "write ssh://…, https://…, git@host:path or an absolute path; or same")
    return text


class StatusSettings(_Part):
    remote: Annotated[
        str, AfterValidator(_git_url), Field(min_length=1, description="where reports go: same, or a Git URL")
    ] = "same"
    shards: Annotated[int, Field(ge=1, le=256, description="status branches that share the load")] = 1
    pushes_per_minute: Annotated[int, Field(ge=1, le=600, description="what the Git server may be asked for")] = 6
    diff: Annotated[Literal["own", "none"], Field(description="own: counts of changes are reported; none: not")] = "own"
    render: Annotated[Literal["hosts", "none"], Field(description="who writes the table in README.md")] = "hosts"


class Suspend(_Part):
    """Hosts that aim at nothing new. ``until`` is in seconds since the epoch; None means until this entry goes."""

    hosts: Pattern
    reason: Annotated[str, Field(min_length=1, max_length=500, description="shown wherever the hold is")]
    until: Instant | None = None


class WindowSettings(_Part):
    """When hosts may take what Git newly wants."""

    hosts: Pattern
    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        Field(strict=False, description="on which days it begins; none: every day"),
    ] = ()
    from_: Annotated[
        str,
        Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="when it begins, such as 02:00"),
    ]
    for_: Annotated[Duration, Field(alias="for", ge=1, le=LONGEST_S, description="how long it lasts, 7d at most")]
    tz: Annotated[str, AfterValidator(_zone), Field(description="an IANA time zone, such as Europe/Berlin")] = "UTC"
    drift: Annotated[
        Literal["repair", "hold"], Field(description="what was changed by hand outside of windows: repaired, or not")
    ] = "repair"


class Wave(_Part):
    name: Annotated[str, Field(min_length=1)]
    hosts: Pattern
    soak: Duration = 0
    min_ok: Percent = "50%"
    max_failed: Annotated[int, Field(ge=0)] = 0
    stale_after: Duration = 7200


class Prune(_Part):
    max: Annotated[int, Field(ge=0, description="how many resources may be removed at once")] = 10
    max_percent: Annotated[
        int,
        Field(ge=0, le=100, description="how many, of a hundred that the ledger of the host holds; never fewer than 5"),
    ] = 20


class RebootSettings(_Part):
    """Hosts that are rebooted when something installed needs it, inside their windows."""

    hosts: Pattern
    when: Literal["required"] = "required"


class Agent(_Part):
    version: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9][0-9A-Za-z.+!]{0,60}(\.\*)?$",
            description="which to run, pinned by `hostwright lock`: 1.2.0 or 1.*; none: the one that is there",
        ),
    ] = None

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


class WebhookSettings(_Part):
    """Where a forge may say that something was pushed."""

    listen: Annotated[str, AfterValidator(_listen), Field(description="address and port of the host: 127.0.0.1:9443")]
    secret_file: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]+$", description="path on the host, root's alone")]

    @property
    def settings(self) -> memory.Webhook:
        host, _, port = self.listen.rpartition(":")
        return memory.Webhook(host.strip("[]"), int(port), self.secret_file)


class Metrics(_Part):
    textfile: str | None = None
    listen: str | None = None


class Fleet(_Part):
    """The whole file, with its defaults."""

    schedule: Schedule = Schedule()
    trust: Trust = Trust()
    status: StatusSettings = StatusSettings()
    suspend: Annotated[tuple[Suspend, ...], Field(strict=False)] = ()
    windows: Annotated[tuple[WindowSettings, ...], Field(strict=False)] = ()
    waves: Annotated[tuple[Wave, ...], Field(strict=False)] = ()
    prune: Prune = Prune()
    reboot: Annotated[
        Literal["never"] | RebootSettings,
        Field(description="`never`, or hosts that may be: {hosts: web, when: required}"),
    ] = "never"
    agent: Agent = Agent()
    webhook: WebhookSettings | None = None
    providers: ProviderSettings = ProviderSettings()
    metrics: Metrics | None = None
    notify: Annotated[tuple[str, ...], Field(strict=False)] = ()


def read_fleet(tree: Tree, name: str) -> Fleet:
    """fleet.yaml of the inventory ``name`` alone. Raises InventoryError with every complaint about it."""
    complaints = Complaints()
    fleet, _ = read_fleet_file(open_source(tree, name), complaints)
    complaints.raise_if_any()
    return fleet


def read_fleet_file(source: Source, complaints: Complaints) -> tuple[Fleet, Node | None]:
    """The fleet, and the node of the file for positions. With mistakes, which go to ``complaints``: the defaults and
    None."""
    root = source.mapping(FLEET_FILE, complaints, "write `schedule: …` and the like")
    fleet = validation.validated(Fleet, root, complaints) if root is not None else None
    if root is None or fleet is None:
        return Fleet(), None
    for path in NOT_IN_FORCE:
        if _at(fleet, path) != _at(Fleet(), path):
            complaints.add(locate(root, path), path, "not in force in this version", "remove it")
    return fleet, root


def _at(fleet: Fleet, path: Path) -> object:
    value: object = fleet
    for part in path:
        value = getattr(value, str(part))
    return value
