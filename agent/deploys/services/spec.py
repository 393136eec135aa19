"""services: what an inventory may ask for of systemd's units.

    - services: [nginx, cron]                                  # short: running and enabled
    - services:
        nginx: {running: true, enabled: true, restart_on: [/etc/nginx]}
        backup.service: {unit: files/backup.service}
        backup.timer: {unit: files/backup.timer.j2, running: true, enabled: true}
        cups: {running: false, enabled: false}
        postgresql: {drop_ins: {limits.conf: "[Service]\nMemoryMax=2G\n"}}

A name without a type is a service. What an entry does not mention is left as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from agent.deploys.items import FILE_MODE, Item, concrete_items
from agent.deploys.spec import (
    NAMES,
    ByName,
    Concrete,
    NamedEntry,
    Sources,
    bare_name,
    by_full_name,
    each_by_name,
    text_of,
)
from agent.deploys.unit_state import UNIT_FOLDER, is_template, template_of
from agent.deploys.written import AbsolutePath, checked
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Fault, Mistake

_TYPES = ("service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice")
_STATES = ("running", "enabled", "masked")
_MISSPELT = 0.8
"""The likeness from which on an ending is a misspelt type: `servce` and `timers` are, the `d` of `fluent.d` is not."""

_NAME = re.compile(r"(?!-)[A-Za-z0-9:_.\\@-]{1,240}")
"""Names of units (systemd.unit(5), "Description"), without those that systemctl takes for a pattern or an option."""

DropInName = Annotated[
    str,
    checked(
        re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}\.conf").fullmatch,
        "the name of a drop-in",
        "write a file name that ends in .conf",
    ),
]


class UnitEntry(NamedEntry):
    """One unit."""

    alternatives: ClassVar[tuple[str, ...]] = ("unit", "content")

    running: bool | None = None
    """Whether it runs now; false stops it."""
    enabled: bool | None = None
    """Whether it starts at boot."""
    masked: bool | None = None
    """true: it cannot be started at all. Asking for `running` or `enabled` takes a mask away."""
    unit: str | None = None
    """A file of the config repo that becomes /etc/systemd/system/<name>; `*.j2` is rendered. A running unit is
    restarted when the file changes."""
    content: str | None = None
    """The unit file's text, instead of `unit`."""
    drop_ins: Mapping[DropInName, str] = Field(default_factory=dict)
    """Texts of files in /etc/systemd/system/<name>.d by file name (`limits.conf`), which add to the unit's own
    settings. A running unit is restarted when one changes."""
    restart_on: tuple[AbsolutePath, ...] = ()
    """Absolute paths of files or folders. The unit is restarted where one of them, or anything below, changed after it
    was started."""
    reload_on: tuple[AbsolutePath, ...] = ()
    """Like `restart_on`, but reloads; restarts where the unit cannot reload."""

    @property
    def contradiction(self) -> Fault | None:
        """The first contradiction between its fields; None where there is none."""
        if self.unit is not None and self.content is not None:
            return Fault("both unit and content say what it is", "give one", ("content",))
        if self.masked and (self.running or self.enabled):
            return Fault("what is masked can be neither running nor enabled", "leave one of them out", ("masked",))
        if self.masked and (self.unit is not None or self.content is not None):
            return Fault("what is masked has no unit file", "leave it out", ("masked",))
        return None


class ServicesSpec(ByName):
    kind: ClassVar[str] = "services"
    owned: ClassVar[Mapping[str, str]] = {"unit": "units"}
    short = NAMES
    if_sealed: ClassVar[str] = (
        'systemctl shows a unit to every user: write the secret with `files` to a file of mode "0600", and name that '
        "file in the unit by `EnvironmentFile=` or `LoadCredential=`, and here in `restart_on`"
    )
    level: ClassVar[str] = "units"

    units: dict[str, Annotated[UnitEntry, bare_name(UnitEntry, {"running": True, "enabled": True})]] = Field(
        default_factory=dict
    )
    """By name. In the short form this level is left out; a list of names means running and enabled."""

    @field_validator("units")
    @classmethod
    def _named(cls, units: dict[str, UnitEntry]) -> dict[str, UnitEntry]:
        named = by_full_name(units, full_name)
        for name, unit in named.items():
            if is_template(name) and unit.model_fields_set - {"unit", "content", "drop_ins"}:
                raise Mistake(
                    f"{name} is a template: it has files, and only its instances run",
                    "name an instance: name@x.service",
                )
        return named

    def concrete(self, sources: Sources) -> Concrete:
        units = each_by_name(self.units, lambda name, unit: _concrete(name, unit, sources))
        items: list[Mapping[str, JSON]] = []
        resources: list[Resource] = []
        for name, unit in self.units.items():
            drop_ins, owned = concrete_items(_drop_in_items(name, unit))
            items += drop_ins
            resources += [replace(each, reloads=(name,) if each.key.startswith("file:") else ()) for each in owned]
        # A changed drop-in restarts its unit. That is an intended change only where the unit's digest changes, too.
        resources += [
            Resource(
                f"unit:{name}",
                digest_of([units[name], dict(unit.drop_ins)]),
                reads=(*unit.restart_on, *unit.reload_on, *_own_files(name)),
                restart_on=() if is_template(name) else (*unit.restart_on, *_own_files(name)),
                reload_on=unit.reload_on,
            )
            for name, unit in self.units.items()
        ]
        # Only a unit with content or a mask claims its file: that of another unit may come from another deploy.
        written = (
            Resource(f"file:{UNIT_FOLDER}/{name}", digest_of([wanted["content"], wanted["masked"]]))
            for name, wanted in units.items()
            if wanted["content"] is not None or wanted["masked"]
        )
        said = {
            f"unit:{name}": {word: digest_of(unit[word]) for word in _STATES if unit[word] is not None}
            for name, unit in units.items()
        }
        return Concrete({"units": units, "items": items}, tuple(resources), tuple(written), properties=said)


def full_name(name: str) -> str:
    """The name of a unit with its type: ``nginx.service`` for ``nginx``. Raises Mistake for what is no name of a unit,
    and for a misspelt type (``shop.servce``)."""
    if not _NAME.fullmatch(name):
        raise Mistake(f"{name!r} is not the name of a unit", "write one like nginx or backup.timer")
    stem, _, suffix = name.rpartition(".")
    if stem and suffix in _TYPES:
        return name
    if stem and (meant := difflib.get_close_matches(suffix, _TYPES, n=1, cutoff=_MISSPELT)):
        remedy = f"did you mean {stem}.{meant[0]}? A service of that name is {name}.service"
        raise Mistake(f"{name}: {suffix} is not a type of unit", remedy)
    return f"{name}.service"


def _concrete(name: str, unit: UnitEntry, sources: Sources) -> Mapping[str, JSON]:
    if (why := unit.contradiction) is not None:
        raise Mistake.of([replace(why, path=("units", name, *why.path))])
    wanted = unit.model_dump(mode="json", exclude={"unit"})
    if unit.unit is not None:
        wanted["content"] = text_of(unit.unit, ("units", name, "unit"), sources)
    return {**wanted, "drop_ins": [f"{UNIT_FOLDER}/{name}.d/{file}" for file in unit.drop_ins]}


def _own_files(name: str) -> tuple[str, ...]:
    """The paths of the unit's file and its folder of drop-ins; of an instance, also the two of its template. Another
    deploy may write them."""
    files = dict.fromkeys(f"{UNIT_FOLDER}/{each}" for each in (name, template_of(name)))
    return (*files, *(f"{file}.d" for file in files))


def _drop_in_items(name: str, unit: UnitEntry) -> list[Item]:
    """The unit's folder of drop-ins and the files in it; nothing where it has no drop-ins."""
    if not unit.drop_ins:
        return []
    folder = f"{UNIT_FOLDER}/{name}.d"
    files = unit.drop_ins.items()
    return [
        Item(path=folder, kind="directory"),
        *(Item(path=f"{folder}/{file}", kind="file", text=text, mode=FILE_MODE) for file, text in files),
    ]
