"""timezone: the time zone of the host.

- timezone: Europe/Berlin
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import field_validator

from agent.deploys.spec import Concrete, Sources, Spec, same_resources
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Mistake
from agent.domain.near import near
from agent.system import timezone


class TimezoneSpec(Spec):
    kind: ClassVar[str] = "timezone"
    short: ClassVar[Mapping[str, Any] | None] = {"type": "string"}

    zone: str
    """Its IANA name, such as `Europe/Berlin` or `UTC`."""

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"zone": value} if isinstance(value, str) else value

    @classmethod
    def properties(cls, arguments: Mapping[str, JSON]) -> dict[str, Mapping[str, JSON]]:
        return {"timezone:host": arguments}

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            timezone.zone(zone)
        except ValueError as error:
            meant = near(zone, timezone.names())
            remedy = f"did you mean {meant[0]}?" if meant else "write it like Europe/Berlin"
            raise Mistake(f"{error}", remedy) from None
        return zone

    def merged(self, later: Self) -> Self:
        return later

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        relies_on = {"package:tzdata": "it has the time zones"}
        resources = (Resource("timezone:host", digest_of({"zone": self.zone})),)
        return Concrete({"zone": self.zone}, resources, same_resources(resources), relies_on)
