"""Ansible's filters and tests for templates: each returns what ansible-core 2.19 returns for the same value.

A public function of ``addresses``, ``documents``, ``lists``, ``texts`` or ``values`` is the filter of its name, one of
``conditions`` the test of its name; an underscore behind a name that Python needs is dropped. Further names and
functions of Python's own library stand here.

All of them are pure. A filter or test that would look at the machine, ask the clock or draw lots without a seed is a
complaint: each host renders for itself, in each cycle, and has to come to the same value. Tests compare the others with
Ansible's own.
"""

from __future__ import annotations

import inspect
import itertools
import math
import ntpath
import posixpath
import pprint
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any, Final
from urllib.parse import unquote_plus

from jinja2 import TemplateError

from agent.errors import InventoryError
from agent.inventory.template import not_here
from agent.inventory.template.filters import addresses, conditions, documents, lists, texts, values
from agent.inventory.template.filters.refusal import refuse
from agent.inventory.template.lazy import settled
from agent.inventory.template.not_here import refusals

_Functions = Mapping[str, Callable[..., Any]]

_COMBINATIONS_LIMIT: Final = 10_000
"""The most results of one call of ``product``, ``permutations`` or ``combinations``."""

_ENTRIES_LIMIT: Final = 1_000_000
"""The most entries of all results of one call together."""


def _public(*modules: ModuleType) -> _Functions:
    return {
        name.rstrip("_"): function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def _strict(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with Python's errors turned into a TemplateError that begins with ``name``."""

    @wraps(function)
    def strict(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except (TemplateError, InventoryError, MemoryError, RecursionError):
            raise
        except Exception as error:
            refuse(f"{name}: {error}")

    return strict


def _listed(function: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
    def listed(*args: Any, **named: Any) -> list[Any]:
        found: list[Any] = []
        entries = 0
        for result in function(*args, **named):
            found.append(result)
            entries += len(result)
            if len(found) > _COMBINATIONS_LIMIT or entries > _ENTRIES_LIMIT:
                refuse(f"more than {_COMBINATIONS_LIMIT} combinations or {_ENTRIES_LIMIT} entries; shorten the list")
        return found

    return listed


_STRICT: Final[_Functions] = {
    **_public(addresses, documents, lists, texts, values),
    **{name: getattr(posixpath, name) for name in ("basename", "dirname", "normpath", "splitext")},
    **{f"win_{name}": getattr(ntpath, name) for name in ("basename", "dirname", "splitdrive")},
    **{name: _listed(getattr(itertools, name)) for name in ("combinations", "permutations", "product")},
    "checksum": texts.hash_,
    "macaddr": addresses.hwaddr,
    "md5": lambda value: texts.hash_(value, "md5"),
    "pow": math.pow,
    "pprint": lambda value, *_: repr(settled(value)) if isinstance(value, (list, dict)) else pprint.pformat(value),
    "sha1": texts.hash_,
    "urldecode": unquote_plus,
    "zip": lambda *lists: list(zip(*lists, strict=False)),
    "zip_longest": lambda *lists, fillvalue=None: list(itertools.zip_longest(*lists, fillvalue=fillvalue)),
}

FILTERS: Final[_Functions] = {
    **{name: _strict(name, function) for name, function in _STRICT.items()},
    **{name: getattr(values, name) for name in ("mandatory", "ternary", "type_debug")},  # undefined is fine there
    **refusals("filter", not_here.FILTERS),
}

_CONDITIONS: Final[_Functions] = {
    **_public(conditions),
    "all": all,
    "any": any,
    "is_abs": conditions.abs_,
    "isnan": conditions.nan,
    "issubset": conditions.subset,
    "issuperset": conditions.superset,
    "version_compare": conditions.version,
}

CONDITIONS: Final[_Functions] = {
    **{name: _strict(name, function) for name, function in _CONDITIONS.items()},
    **refusals("test", not_here.TESTS),
}

_COLLECTIONS: Final = ("ansible.builtin", "ansible.legacy", "ansible.utils", "ansible.netcommon", "community.general")


def with_full_names(functions: Mapping[str, Any]) -> dict[str, Any]:
    """``functions``, also under the names that they have in Ansible's collections: ``ansible.builtin.combine``."""
    full = {f"{place}.{name}": function for place in _COLLECTIONS for name, function in functions.items()}
    return {**functions, **full}
