"""services: what an inventory may ask for of systemd's units.

    - services: [nginx, cron]                                  # short: running and enabled
    - services:
        nginx: {running: true, enabled: true, restart_on: [/etc/nginx]}
        backup.service: {unit: files/backup.service}
        backup.timer: {unit: files/backup.timer.j2, running: true, enabled: true}
        cups: {running: false, enabled: false}

A name without a type is a service. What an entry does not mention is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.deploys.spec import Concrete, Sources, Spec, overlaid
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.errors import InventoryError

_TYPES = ("service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice")
_NAME = re.compile(r"(?!-)[A-Za-z0-9:_.\\@-]{1,240}")
"""systemd.unit(5), "Description"; nothing that systemctl takes for a pattern or an option."""


class Unit(BaseModel):
    """One unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    running: bool | None = Field(default=None, description="Whether it runs now; false stops it.")
    enabled: bool | None = Field(default=None, description="Whether it starts at boot.")
    masked: bool | None = Field(
        default=None,
        description="true: it cannot be started at all. Asking for `running` or `enabled` takes a mask away.",
    )
    unit: str | None = Field(
        default=None,
        description="A file of the config repo that becomes /etc/systemd/system/<name>; `*.j2` is rendered."
        " A running unit is restarted when the file changes.",
    )
    content: str | None = Field(default=None, description="The unit file's text, instead of `unit`.")
    restart_on: tuple[str, ...] = Field(
        default=(),
        description="Absolute paths of files or folders. The unit is restarted where one of them, or anything below,"
        " changed after it was started.",
    )
    reload_on: tuple[str, ...] = Field(
        default=(),
        description="Like `restart_on`, but reloads; restarts where the unit cannot reload.",
    )

    @field_validator("restart_on", "reload_on")
    @classmethod
    def _absolute(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path.startswith("/") or "\0" in path:
                raise ValueError(f"{path!r} is not an absolute path")
        return paths

    def merged(self, later: Unit) -> Unit:
        merged = overlaid(self, later)
        if later.unit is not None:
            return merged.model_copy(update={"content": None})
        if later.content is not None:
            return merged.model_copy(update={"unit": None})
        return merged

    @property
    def contradiction(self) -> str:
        """What cannot be at the same time; empty when all can."""
        if self.unit is not None and self.content is not None:
            return "has both unit and content; give one"
        if self.masked and (self.running or self.enabled):
            return "is masked, so it can be neither running nor enabled"
        if self.masked and (self.unit is not None or self.content is not None):
            return "is masked, so it has no unit file; leave it out"
        return ""


def _with_short_form(schema: dict[str, Any]) -> None:
    """The JSON Schema of both forms: what ``units`` holds may stand without it."""
    schema["additionalProperties"] = {
        "anyOf": [schema["properties"]["units"]["additionalProperties"], {"type": "null"}]
    }


class ServicesSpec(Spec):
    model_config = ConfigDict(json_schema_extra=_with_short_form)

    kind: ClassVar[str] = "services"

    units: dict[str, Unit] = Field(
        default_factory=dict,
        description="By name. In the short form this level is left out; a list of names means running and enabled.",
    )

    @classmethod
    def from_short(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return {"units": dict.fromkeys(value, _UP)}
        if isinstance(value, Mapping) and set(value) != {"units"}:
            return {"units": {name: _UP if entry is None else entry for name, entry in value.items()}}
        return value

    @field_validator("units")
    @classmethod
    def _named(cls, units: dict[str, Unit]) -> dict[str, Unit]:
        named: dict[str, Unit] = {}
        for given, unit in units.items():
            name = full_name(given)
            if name in named:
                raise ValueError(f"{name} is there twice")
            if is_template(name) and unit.model_fields_set - {"unit", "content"}:
                raise ValueError(f"{name} is a template: it has a unit file, and only its instances run")
            named[name] = unit
        return named

    def merged(self, later: Self) -> Self:
        units = dict(self.units)
        for name, unit in later.units.items():
            units[name] = units[name].merged(unit) if name in units else unit
        return self.model_copy(update={"units": units})

    def concrete(self, sources: Sources) -> Concrete:
        units = {name: _concrete(name, unit, sources) for name, unit in self.units.items()}
        resources = tuple(Resource(f"unit:{name}", digest_of(wanted)) for name, wanted in units.items())
        return Concrete({"units": units}, resources)


_UP: Mapping[str, bool] = {"running": True, "enabled": True}


def full_name(name: str) -> str:
    """``nginx`` as ``nginx.service``. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a unit")
    return name if name.rpartition(".")[2] in _TYPES and "." in name else f"{name}.service"


def is_template(name: str) -> bool:
    return name.rpartition(".")[0].endswith("@")


def template_of(name: str) -> str:
    """``getty@tty1.service`` as ``getty@.service``; another name as it is."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem.partition('@')[0]}@.{suffix}" if "@" in stem else name


def _concrete(name: str, unit: Unit, sources: Sources) -> Mapping[str, JSON]:
    if unit.contradiction:
        raise InventoryError(f"{name} {unit.contradiction}")
    return {
        "running": unit.running,
        "enabled": unit.enabled,
        "masked": unit.masked,
        "content": unit.content if unit.unit is None else _text(name, unit.unit, sources),
        "restart_on": list(unit.restart_on),
        "reload_on": list(unit.reload_on),
    }


def _text(name: str, path: str, sources: Sources) -> str:
    try:
        text = sources.tree.read(path).decode()
    except KeyError:
        raise InventoryError(
            f"{name}: there is no file {path}", hint="paths count from the top of the config repo"
        ) from None
    except UnicodeDecodeError:
        raise InventoryError(f"{name}: {path} is not UTF-8 text") from None
    return sources.render(text, path) if path.endswith(".j2") else text
