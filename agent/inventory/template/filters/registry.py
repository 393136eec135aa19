"""Ansible's filters and tests for templates: each gives what ansible-core 2.19 gives for the same value.

All of them are pure. What looks at the machine that renders, asks the clock or draws lots without a seed is a
complaint: each host renders for itself, in each cycle, and has to come to the same value. Tests compare them with
Ansible's own.
"""

from __future__ import annotations

import itertools
import math
import ntpath
import posixpath
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, NoReturn
from urllib.parse import unquote_plus

from jinja2 import TemplateError, Undefined

from agent.errors import InventoryError
from agent.inventory.template.filters import addresses, conditions, documents, lists, texts, values
from agent.inventory.template.filters.refusal import refuse

_COMBINATIONS_LIMIT: Final = 10_000
"""Results of ``product``, ``permutations`` and the like."""


def _strict(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with an error that names it where a value is undefined or of the wrong kind."""

    @wraps(function)
    def strict(*args: Any, **named: Any) -> Any:
        for value in (*args, *named.values()):
            if isinstance(value, Undefined):
                str(value)  # raises, and names what is undefined
        try:
            return function(*args, **named)
        except (TemplateError, InventoryError):
            raise
        except Exception as error:
            refuse(f"{name}: {error}")

    return strict


def _listed(function: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
    def listed(*args: Any, **named: Any) -> list[Any]:
        found = list(itertools.islice(function(*args, **named), _COMBINATIONS_LIMIT + 1))
        if len(found) > _COMBINATIONS_LIMIT:
            refuse(f"more than {_COMBINATIONS_LIMIT} combinations")
        return found

    return listed


def _text(function: Callable[[str], Any]) -> Callable[[object], Any]:
    return lambda value: function(str(value))


def _not_here(name: str) -> Callable[..., NoReturn]:
    def refused(*_: object, **__: object) -> NoReturn:
        refuse(f"{name} looks at the machine that renders: write down what it would find")

    return refused


_PURE: Final[Mapping[str, Callable[..., Any]]] = {
    "b64decode": texts.b64decode,
    "b64encode": texts.b64encode,
    "basename": _text(posixpath.basename),
    "bool": values.to_bool,
    "checksum": texts.hashed,
    "combinations": _listed(itertools.combinations),
    "combine": lists.combine,
    "comment": texts.comment,
    "commonpath": posixpath.commonpath,
    "dict2items": lists.dict2items,
    "difference": lists.difference,
    "dirname": _text(posixpath.dirname),
    "extract": lists.extract,
    "flatten": lists.flatten,
    "from_json": documents.from_json,
    "from_yaml": documents.from_yaml,
    "from_yaml_all": documents.from_yaml_all,
    "hash": texts.hashed,
    "human_readable": values.human_readable,
    "human_to_bytes": values.human_to_bytes,
    "intersect": lists.intersect,
    "items2dict": lists.items2dict,
    "log": values.log,
    "md5": lambda value: texts.hashed(value, "md5"),
    "normpath": _text(posixpath.normpath),
    "password_hash": texts.password_hash,
    "path_join": texts.path_join,
    "permutations": _listed(itertools.permutations),
    "pow": math.pow,
    "product": _listed(itertools.product),
    "quote": texts.quote,
    "random": lists.drawn,
    "regex_escape": texts.regex_escape,
    "regex_findall": texts.regex_findall,
    "regex_replace": texts.regex_replace,
    "regex_search": texts.regex_search,
    "rekey_on_member": lists.rekey_on_member,
    "relpath": texts.relpath,
    "root": values.root,
    "sha1": texts.hashed,
    "shuffle": lists.shuffle,
    "split": texts.split,
    "splitext": _text(posixpath.splitext),
    "strftime": values.strftime,
    "subelements": lists.subelements,
    "symmetric_difference": lists.symmetric_difference,
    "to_datetime": values.to_datetime,
    "to_json": documents.to_json,
    "to_nice_json": documents.to_nice_json,
    "to_nice_yaml": documents.to_nice_yaml,
    "to_uuid": texts.to_uuid,
    "to_yaml": documents.to_yaml,
    "union": lists.union,
    "unique": lists.unique,
    "urldecode": unquote_plus,
    "urlsplit": texts.url_split,
    "win_basename": _text(ntpath.basename),
    "win_dirname": _text(ntpath.dirname),
    "win_splitdrive": _text(ntpath.splitdrive),
    "zip": lambda *lists: list(zip(*lists, strict=False)),
    "zip_longest": lambda *lists, fillvalue=None: list(itertools.zip_longest(*lists, fillvalue=fillvalue)),
    **addresses.FILTERS,
}

FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _strict(name, function) for name, function in _PURE.items()},
    **{name: _not_here(name) for name in ("expanduser", "expandvars", "fileglob", "realpath")},
    "mandatory": values.mandatory,
    "ternary": values.ternary,
    "type_debug": values.type_debug,
}

_CONDITIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": conditions.absolute,
    "all": all,
    "any": any,
    "contains": conditions.contains,
    "falsy": conditions.falsy,
    "is_abs": conditions.absolute,
    "isnan": conditions.nan,
    "issubset": conditions.subset,
    "issuperset": conditions.superset,
    "match": conditions.match,
    "nan": conditions.nan,
    "regex": conditions.regex,
    "search": conditions.search,
    "subset": conditions.subset,
    "superset": conditions.superset,
    "truthy": conditions.truthy,
    "uri": conditions.uri,
    "url": conditions.url,
    "urn": conditions.urn,
    "version": conditions.version,
    "version_compare": conditions.version,
}

_OF_THE_HOST: Final = (
    *("directory", "exists", "file", "is_dir", "is_file", "is_link", "is_mount", "is_same_file", "link"),
    *("link_exists", "mount", "same_file"),
)
CONDITIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _strict(name, function) for name, function in _CONDITIONS.items()},
    **{name: _not_here(f"the test {name}") for name in _OF_THE_HOST},
}

_COLLECTIONS: Final = ("ansible.builtin", "ansible.legacy", "ansible.utils", "ansible.netcommon")


def with_full_names(functions: Mapping[str, Any]) -> dict[str, Any]:
    """``functions``, also under the names that they have in Ansible's collections: ``ansible.builtin.combine``."""
    full = {f"{place}.{name}": function for place in _COLLECTIONS for name, function in functions.items()}
    return {**functions, **full}
