"""sysctl: kernel settings, now and at every boot.

- sysctl:
    net.ipv4.ip_forward: 1
    net.ipv4.ip_local_port_range: 1024 65000
    net.bridge.bridge-nf-call-iptables: {value: 1, optional: true}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, field_validator

from agent.deploys.spec import ByName, Concrete, NamedEntry, Sources, by_full_name
from agent.deploys.sysctl import keys
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Mistake


class Setting(NamedEntry):
    """One setting."""

    value: StrictInt | StrictStr
    """A number or a text, as the kernel shows it."""
    optional: bool = False
    """`true`: the kernel may be without it, as without a setting of a module that is not loaded. Otherwise that is an
    error."""

    @field_validator("value", mode="before")
    @classmethod
    def _no_other(cls, value: object) -> object:
        if isinstance(value, (bool, float)):
            raise Mistake(f"{json.dumps(value)} is neither a whole number nor a text", "put it in quotes")
        return value

    @field_validator("value")
    @classmethod
    def _words(cls, value: int | str) -> str:
        text = keys.normalised(f"{value}")
        if not text or not text.isprintable():
            raise Mistake("this is no value of a setting", "write a number or a text of one line")
        return text


def _as_setting(entry: object) -> object:
    """``entry``; a value alone becomes the ``value`` of a setting."""
    return entry if isinstance(entry, (Mapping, Setting)) else {"value": entry}


SettingOrValue = Annotated[Setting, BeforeValidator(_as_setting, json_schema_input_type=Setting | int | str)]


class SysctlSpec(ByName):
    kind: ClassVar[str] = "sysctl"
    owned: ClassVar[Mapping[str, str]] = {"sysctl": "settings"}
    level: ClassVar[str] = "settings"

    settings: dict[str, SettingOrValue] = Field(default_factory=dict)
    """By name, as sysctl(8) takes it: net.ipv4.ip_forward. In the short form this level is left out."""

    @field_validator("settings")
    @classmethod
    def _named(cls, settings: dict[str, Setting]) -> dict[str, Setting]:
        return by_full_name(settings, keys.canonical)

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        settings: dict[str, Mapping[str, JSON]] = {
            name: setting.model_dump() for name, setting in self.settings.items()
        }
        resources = tuple(Resource(f"sysctl:{name}", digest_of(setting)) for name, setting in settings.items())
        return Concrete({"settings": settings}, resources)
