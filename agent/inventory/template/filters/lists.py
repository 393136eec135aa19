"""Ansible's filters of mappings and lists. They keep the order of what they are given."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import Environment, pass_environment

from agent.inventory.template.filters.refusal import refuse


def combine(*terms: Any, recursive: bool = False, list_merge: str = "replace") -> Any:
    if list_merge not in _LIST_MERGES:
        refuse(f'combine: the list_merge "{list_merge}" is none of {", ".join(_LIST_MERGES)}')
    result: Any = {}
    terms = tuple(flatten(terms, levels=1))
    for index, term in enumerate(terms):
        if not isinstance(term, Mapping) and len(terms) > 1:
            refuse(f"combine: {term!r} is no mapping")
        result = term if index == 0 else _merged(result, term, recursive, list_merge)
    return result


def _merged(low: Mapping[Any, Any], high: Mapping[Any, Any], recursive: bool, lists: str) -> dict[Any, Any]:
    merged = dict(low)
    for key, wanted in high.items():
        there = merged.get(key)
        if key in merged and recursive and isinstance(there, Mapping) and isinstance(wanted, Mapping):
            merged[key] = _merged(there, wanted, recursive, lists)
        elif key in merged and isinstance(there, list) and isinstance(wanted, list):
            merged[key] = _LIST_MERGES[lists](there, wanted)
        else:
            merged[key] = wanted
    return merged


_LIST_MERGES: Final[Mapping[str, Callable[[list[Any], list[Any]], list[Any]]]] = {
    "replace": lambda _, high: high,
    "keep": lambda low, _: low,
    "append": lambda low, high: low + high,
    "prepend": lambda low, high: high + low,
    "append_rp": lambda low, high: [item for item in low if item not in high] + high,
    "prepend_rp": lambda low, high: high + [item for item in low if item not in high],
}


def dict2items(value: Mapping[Any, Any], key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    if not isinstance(value, Mapping):
        refuse(f"dict2items: {value!r} is no mapping")
    return [{key_name: key, value_name: item} for key, item in value.items()]


def items2dict(value: Iterable[Any], key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    if isinstance(value, (str, Mapping)):
        refuse(f"items2dict: {value!r} is no list")
    try:
        return {item[key_name]: item[value_name] for item in value}
    except (KeyError, TypeError):
        refuse(f"items2dict: each entry has to be a mapping with {key_name} and {value_name}")


@pass_environment
def extract(environment: Environment, key: Any, container: Any, more: Any = None) -> Any:
    """The value at ``key`` of ``container`` or, with ``more``, at that key or list of keys below it. Undefined where
    there is none."""
    for part in (key, *(more if isinstance(more, list) else () if more is None else (more,))):
        container = environment.getitem(container, part)
    return container


def flatten(value: Iterable[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    found: list[Any] = []
    for item in value:
        if skip_nulls and (item is None or item in ("None", "null")):
            continue
        if isinstance(item, (list, tuple)) and (levels is None or levels >= 1):
            found += flatten(item, None if levels is None else levels - 1, skip_nulls)
        else:
            found.append(item)
    return found


def subelements(value: Any, path: str | list[str], skip_missing: bool = False) -> list[tuple[Any, Any]]:
    if not isinstance(value, (Mapping, list)):
        refuse("subelements: the value is neither a list nor a mapping")
    found: list[tuple[Any, Any]] = []
    for element in value.values() if isinstance(value, Mapping) else value:
        inner = element
        for part in path.split(".") if isinstance(path, str) else path:
            if isinstance(inner, Mapping) and part not in inner:
                if not skip_missing:
                    refuse(f'subelements: an entry has no "{part}"; add skip_missing=True where that is fine')
                inner = []
                break
            inner = inner[part]
        if not isinstance(inner, list):
            refuse(f"subelements: {path} of an entry is no list")
        found += [(element, item) for item in inner]
    return found


def rekey_on_member(value: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    if duplicates not in ("error", "overwrite"):
        refuse(f'rekey_on_member: duplicates="{duplicates}" is none of error, overwrite')
    found: dict[Any, Any] = {}
    if isinstance(value, str):
        refuse("rekey_on_member: a text is no list of mappings")
    for item in value.values() if isinstance(value, Mapping) else value:
        if not isinstance(item, Mapping) or key not in item:
            refuse(f'rekey_on_member: an entry has no "{key}"')
        if item[key] in found and duplicates != "overwrite":
            refuse(f'rekey_on_member: two entries have the "{key}" {item[key]!r}')
        found[item[key]] = item
    return found


def unique(value: Iterable[Any], case_sensitive: bool = False, attribute: str | int | None = None) -> list[Any]:
    """The first of each set of equal entries. As in Jinja2, case does not count unless ``case_sensitive`` says so."""
    found: list[Any] = []
    seen: list[Any] = []
    for item in value:
        key = item if attribute is None else item[attribute]
        key = key.lower() if isinstance(key, str) and not case_sensitive else key
        if key not in seen:
            seen.append(key)
            found.append(item)
    return found


def union(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    return unique([*first, *second], case_sensitive=True)


def intersect(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    other = list(second)
    return unique((item for item in first if item in other), case_sensitive=True)


def difference(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    other = list(second)
    return unique((item for item in first if item not in other), case_sensitive=True)


def symmetric_difference(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    one, two = list(first), list(second)
    return difference(one, two) + difference(two, one)


def random_(value: Any, start: int | None = None, step: int | None = None, seed: Any = None) -> Any:
    if seed is None:
        refuse("random: give a seed, random(seed=inventory_hostname): the value has to stay the same in each cycle")
    lot = random.Random(seed)  # noqa: S311  # no secret comes of it
    if isinstance(value, int):
        return lot.randrange(start or 0, value, step or 1)
    if start or step:
        refuse("random: start and step are for numbers")
    return lot.choice(value)


def shuffle(value: Any, seed: Any = None) -> Any:
    """A list of what ``value`` holds, in another order; ``value`` itself where it holds nothing."""
    if not seed:
        refuse("shuffle: give a seed, shuffle(seed=inventory_hostname): the order has to stay the same in each cycle")
    if not isinstance(value, Iterable):
        return value
    found = list(value)
    random.Random(seed).shuffle(found)  # noqa: S311  # no secret comes of it
    return found
