"""packages: what an inventory may ask for of the distribution's packages.

- packages: [git, curl]                                   # short for present
- packages: {present: [git, "nginx=1.22.1-9", "libc6:i386"], absent: [nano], update: 1d}
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from agent.deploys.spec import Concrete, Sources, Spec
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of

# Names and architectures as in Debian policy 5.6.1 and 5.6.8, wide enough for RPM, apk and pacman.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?")
_PACKAGE = re.compile(_NAME.pattern + r"(=[A-Za-z0-9][A-Za-z0-9.+:~^_-]*)?")
_AGE = re.compile(r"(\d{1,6})([smhd])")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class PackagesSpec(Spec):
    kind: ClassVar[str] = "packages"

    present: tuple[str, ...] = Field(
        default=(),
        description="Packages that must be installed: `name`, `name=version` to pin one, `name:arch` for another"
        " architecture. Without a version any installed version will do.",
    )
    absent: tuple[str, ...] = Field(
        default=(),
        description="Packages that must not be installed. Their configuration files stay. What depends on one of"
        " them must be listed too: nothing is removed that is not named.",
    )
    update: str = Field(
        default="1d",
        description="Package lists older than this are fetched anew before something is installed (`12h`, `1d`)."
        " What is unknown or pinned to a version not in the lists fetches them in any case.",
    )
    recommends: bool | None = Field(
        default=None,
        description="Whether recommended packages come along (apt only). Not set: as the host's apt is configured,"
        " which for Debian means yes.",
    )

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"present": value} if isinstance(value, (list, tuple)) else value

    @field_validator("present")
    @classmethod
    def _packages(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for package in packages:
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"{package!r} is not a package: write name, name=version or name:arch")
        _require_once(map(name_of, packages))
        return packages

    @field_validator("absent")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a package: write name or name:arch")
        _require_once(names)
        return names

    @field_validator("update")
    @classmethod
    def _age(cls, age: str) -> str:
        if not _AGE.fullmatch(age):
            raise ValueError(f"{age!r} is not an age: write a whole number and s, m, h or d, like 12h")
        return age

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        both = [name for name in map(name_of, self.present) if name in self.absent]
        if both:
            raise ValueError(f"{both[0]} is both present and absent")
        return self

    def merged(self, later: Self) -> Self:
        present = {name_of(package): package for package in self.present if name_of(package) not in later.absent}
        present |= {name_of(package): package for package in later.present}
        absent = dict.fromkeys((*self.absent, *later.absent))
        said = {name: getattr(later, name) for name in later.model_fields_set}
        said["present"] = tuple(present.values())
        said["absent"] = tuple(name for name in absent if name not in present)
        return self.model_copy(update=said)

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing to look up
        present = {name_of(package): version_of(package) for package in self.present}
        arguments: dict[str, JSON] = {
            "present": present,
            "absent": list(self.absent),
            "update_s": seconds_of(self.update),
            "recommends": self.recommends,
        }
        resources = [Resource(f"package:{name}", digest_of({"present": present[name] or True})) for name in present]
        resources += [Resource(f"package:{name}", digest_of({"present": False})) for name in self.absent]
        return Concrete(arguments, tuple(resources))


def name_of(package: str) -> str:
    return package.partition("=")[0]


def version_of(package: str) -> str | None:
    return package.partition("=")[2] or None


def seconds_of(age: str) -> int:
    """``12h`` as seconds."""
    return int(age[:-1]) * _SECONDS[age[-1]]


def _require_once(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name} is listed twice")
        seen.add(name)
