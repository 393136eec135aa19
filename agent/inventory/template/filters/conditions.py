"""Ansible's tests, for use behind ``is``."""

from __future__ import annotations

import math
import operator
import posixpath
import re
from collections.abc import Callable, Container, Iterable
from typing import Any, Final
from urllib.parse import urlparse

from agent.inventory.template.filters.refusal import compiled, refuse

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    **dict.fromkeys(("==", "=", "eq"), operator.eq),
    **dict.fromkeys(("<", "lt"), operator.lt),
    **dict.fromkeys(("<=", "le"), operator.le),
    **dict.fromkeys((">", "gt"), operator.gt),
    **dict.fromkeys((">=", "ge"), operator.ge),
    **dict.fromkeys(("!=", "<>", "ne"), operator.ne),
}
_COMPONENTS: Final = re.compile(r"\d+|[a-z]+|[^\da-z.]+")
_STRICT: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?")
_SEMANTIC: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def match(value: object, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    return compiled(pattern, ignorecase, multiline).match(str(value)) is not None


def search(value: object, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    return compiled(pattern, ignorecase, multiline).search(str(value)) is not None


def regex(
    value: object, pattern: str = "", ignorecase: bool = False, multiline: bool = False, match_type: str = "search"
) -> bool:
    found: object = getattr(compiled(pattern, ignorecase, multiline), _MATCH_TYPES[match_type])(str(value))
    return found is not None


_MATCH_TYPES: Final = {name: name for name in ("search", "match", "fullmatch")}


def version(
    value: object, other: object, how: str = "eq", strict: bool | None = None, version_type: str | None = None
) -> bool:
    if how not in _OPERATORS:
        refuse(f'version: "{how}" is none of {", ".join(_OPERATORS)}')
    kind = "strict" if strict else version_type or "loose"
    if kind not in _VERSIONS:
        refuse(f'version: "{kind}" is none of {", ".join(_VERSIONS)}')
    if not str(value) or not str(other):
        refuse("version: an empty text is no version")
    read = _VERSIONS[kind]
    mine, theirs = read(str(value)), read(str(other))
    _ = mine == theirs or mine < theirs  # raises where the two have no order, also for "=="
    return _OPERATORS[how](mine, theirs)


def _loose(text: str) -> list[Any]:
    """The version as distutils' LooseVersion reads it: digits as numbers, letters as words, in order. A comparison of
    two raises TypeError where a number meets a word."""
    return [int(part) if part.isdigit() else part for part in _COMPONENTS.findall(text)]


def _strict(text: str) -> tuple[Any, ...]:
    found = _STRICT.fullmatch(text)
    if found is None:
        refuse(f'version: "{text}" is no strict version such as 1.2.3 or 1.2b1')
    major, minor, patch, kind, number = found.groups()
    return (int(major), int(minor), int(patch or 0), (kind, int(number)) if kind else ("c", 0))


def _semantic(text: str) -> tuple[Any, ...]:
    """The version in the order of semver.org, clause 11: numbers below words, a pre-release below its release."""
    found = _SEMANTIC.fullmatch(text)
    if found is None:
        refuse(f'version: "{text}" is no semantic version such as 1.2.3')
    before = found[4]
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return (int(found[1]), int(found[2]), int(found[3]), before is None, parts)


def _pep440(text: str) -> Any:
    from packaging.version import Version  # here: no other filter needs it

    return Version(text)


_VERSIONS: Final[dict[str, Callable[[str], Any]]] = {
    "loose": _loose,
    "strict": _strict,
    "semver": _semantic,
    "semantic": _semantic,
    "pep440": _pep440,
}


def subset(value: Iterable[Any], other: Iterable[Any]) -> bool:
    return set(value) <= set(other)


def superset(value: Iterable[Any], other: Iterable[Any]) -> bool:
    return subset(other, value)


def contains(value: Container[Any], item: object) -> bool:
    return item in value


def truthy(value: object, convert_bool: bool = False) -> bool:
    if convert_bool and isinstance(value, str) and value.strip().lower() in ("no", "n", "off", "f", "false", "0"):
        return False
    return bool(value)


def falsy(value: object, convert_bool: bool = False) -> bool:
    return not truthy(value, convert_bool)


def nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def uri(value: Any, schemes: Container[str] | None = None) -> bool:
    try:
        scheme = urlparse(value).scheme
    except (ValueError, TypeError, AttributeError):
        return False
    return not schemes or scheme in schemes


def url(value: Any, schemes: Container[str] | None = None) -> bool:
    return uri(value, schemes) and bool(urlparse(value).netloc or urlparse(value).scheme == "file")


def urn(value: Any) -> bool:
    return uri(value, ["urn"])


def abs_(value: str) -> bool:
    return posixpath.isabs(value)
