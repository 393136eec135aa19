"""Ansible's filters of truth, numbers and times."""

from __future__ import annotations

import datetime
import math
import re
import time
from typing import Any, Final

from jinja2 import Undefined

from agent.inventory.template.filters.refusal import refuse

_TRUE: Final = frozenset(("1", "on", "true", "yes"))
_UNITS: Final = "BKMGTPEZY"
_UNIT_NAMES: Final = tuple(
    f"{prefix}byte" for prefix in ("", "kilo", "mega", "giga", "tera", "peta", "exa", "zeta", "yotta")
)
_SIZE: Final = re.compile(r"([0-9]*\.?[0-9]+)(?:\s*([A-Za-z]+))?\s*")


def bool_(value: object) -> bool:
    """True for 1, on, true and yes. False for everything else, as in Ansible, which also warns."""
    if isinstance(value, (str, int)):
        return str(value).lower() in _TRUE
    return value == 1


def ternary(value: object, yes: object, no: object, nothing: object = None) -> object:
    return nothing if value is None and nothing is not None else yes if value else no


def mandatory(value: Any, message: str | None = None) -> Any:
    if isinstance(value, Undefined):
        if message is not None:
            refuse(str(message))
        str(value)  # raises, and names what is undefined
    return value


def type_debug(value: object) -> str:
    name = type(value).__name__
    return {"LazyMap": "dict", "LazyList": "list", "Absent": "UndefinedMarker"}.get(name, name)


def log(value: float, base: float = math.e) -> float:
    return math.log10(value) if base == 10 else math.log(value, base)


def root(value: float, base: float = 2) -> float:
    return math.sqrt(value) if base == 2 else math.pow(value, 1.0 / float(base))


def human_readable(size: float, isbits: bool = False, unit: str | None = None) -> str:
    base = "bits" if isbits else "Bytes"
    for power, letter in reversed(list(enumerate(_UNITS))):
        if (unit is None and size >= 1 << 10 * power) or (unit is not None and unit.upper() == letter) or not power:
            return f"{size / (1 << 10 * power):.2f} {letter + base[0] if power else base}"
    raise AssertionError


def human_to_bytes(size: object, default_unit: str | None = None, isbits: bool = False) -> int:
    found = _SIZE.fullmatch(str(size))
    if found is None:
        refuse(f'human_to_bytes: "{size}" is no size such as 10M')
    unit = found[2] or default_unit
    if unit is None:
        return round(float(found[1]))
    power = _UNITS.find(unit[0].upper())
    name = _UNIT_NAMES[power].replace("byte", "bit") if isbits else _UNIT_NAMES[power]
    short = unit[0].upper() + ("b" if isbits else "B") if power else ("b" if isbits else "B")
    if power < 0 or (len(unit) > 1 and unit.lower() != name and unit != short):
        refuse(f'human_to_bytes: "{unit}" is no unit; {"Mb" if isbits else "MB"} is one')
    return round(float(found[1]) * (1 << 10 * power))


def to_datetime(value: str, format: str = "%Y-%m-%d %H:%M:%S") -> datetime.datetime:
    return datetime.datetime.strptime(value, format)  # noqa: DTZ007  # as Ansible's


def strftime(format: str, second: float | None = None, utc: bool = False) -> str:
    if second is None or not utc:
        refuse("strftime: give the time and utc=True, strftime(0, utc=True): clock and zone differ from host to host")
    return time.strftime(format, time.gmtime(float(second)))
