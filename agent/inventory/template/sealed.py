"""A secret in a template: it can go into texts and through filters, and nothing can look at it.

Only a host that may read the secret knows the result of a filter, so the call itself becomes part of the token
(``domain.sealed``). Conditions and comparisons are refused: the digest of a resource has to be the same on a host that
cannot read the value.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from functools import cache, wraps
from typing import Any, NoReturn

from jinja2 import TemplateError

from agent.domain.digest import JSON
from agent.domain.sealed import CLOSE, FILTER, ITEM, OPEN, TUPLE, Expression, token
from agent.inventory.template.bounds import budget
from agent.inventory.template.undefined import first_undefined, require_defined

_PASSING = ("string", "default", "d", "mandatory")
"""Filters that return a secret unchanged."""

_OF_UNDEFINED = ("default", "d", "mandatory", "ternary", "type_debug")
"""Filters made for undefined values."""

_KEEPING = frozenset(
    (
        *(
            "attr",
            "batch",
            "count",
            "counted",
            "d",
            "default",
            "dictsort",
            "first",
            "groupby",
            "items",
            "last",
            "length",
        ),
        *(
            "list",
            "map",
            "mandatory",
            "max",
            "min",
            "random",
            "reject",
            "rejectattr",
            "reverse",
            "select",
            "selectattr",
        ),
        *("slice", "sort", "sum", "unique", "combine", "dict2items", "difference", "extract", "flatten", "intersect"),
        *("items2dict", "rekey_on_member", "shuffle", "subelements", "symmetric_difference", "ternary", "type_debug"),
        *("union", "combinations", "permutations", "product", "zip", "zip_longest"),
    )
)
"""Filters of collections that keep each part as it is. All others may make a text of the parts."""

_TESTS = ("defined", "undefined")


class FilterRefusal(Exception):
    """A filter does not take the value of a secret."""


class Sealed:
    """A value that holds at least one token."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]  # no key and no member of a set

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, expression: Expression) -> Sealed:
        return cls(token(expression))

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    def __add__(self, other: object) -> Sealed:
        return Sealed(f"{self}{_joined(other)}")

    def __radd__(self, other: object) -> Sealed:
        return Sealed(f"{_joined(other)}{self}")

    def __getitem__(self, key: object) -> Sealed:
        if not isinstance(key, (str, int)):
            _refuse("a slice of it")
        return Sealed.of({"is": ITEM, "of": self._text, "key": key})

    def __iter__(self) -> NoReturn:
        _refuse("a loop over it")

    def _look(self, *_: object) -> NoReturn:
        _refuse("a comparison or a condition")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _look
    __len__ = __int__ = __float__ = __index__ = __neg__ = _look
    __mul__ = __rmul__ = __mod__ = __rmod__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = _look


def _joined(other: object) -> str:
    if isinstance(other, (str, Sealed)):
        return f"{require_unforged(other)}"
    raise TemplateError(f"a secret and a {type(other).__name__} cannot be added; write them side by side, or use ~")


def _refuse(what: str) -> NoReturn:
    raise TemplateError(
        f"{what} needs the value of a secret, and only some hosts can read it; put it into text, or through a filter"
    )


def require_unforged(value: Any) -> Any:
    """``value``. Raises TemplateError for a text with a mark of tokens: only functions such as ``secret()`` make
    tokens, never a template's own text."""
    if isinstance(value, str) and (OPEN in value or CLOSE in value):
        raise TemplateError("the characters U+F8D0 and U+F8D1 stand for secrets inside of hostwright; leave them out")
    return value


def is_sealed(*values: object) -> bool:
    return any(isinstance(value, Sealed) for value in values)


def require_open(*values: object) -> None:
    """Raise TemplateError where one of ``values`` is a secret, or a list with one."""
    if any(is_sealed(value) or (isinstance(value, (list, tuple)) and is_sealed(*value)) for value in values):
        _refuse("a call with it")


def guarded_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """``filters``, each guarded: with a secret among its arguments it returns a token of the call. As in Ansible each
    returns an undefined argument unchanged, so that a default may follow: ``{{ port | int | default(80) }}``."""
    return {name: _guarded_filter(name, function) for name, function in filters.items()}


def guarded_tests(tests: Mapping[str, Any]) -> dict[str, Any]:
    """``tests``, each guarded: it refuses secrets and undefined values. ``defined`` and ``undefined`` are not guarded.
    A misspelt ``{% if prot is none %}`` must not silently be false."""
    return {name: each if name in _TESTS else _guarded_test(each) for name, each in tests.items()}


@cache
def _guarded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    given = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def guarded(*args: Any, **named: Any) -> Any:
        if name in _PASSING and isinstance(args[given], Sealed):
            return args[given]
        if name not in _KEEPING:
            args = tuple(map(listed, args))
            named = {key: listed(value) for key, value in named.items()}
        values = (*args[given:], *named.values())
        if any(map(is_sealed if name in _KEEPING else contains_secret, values)) and name not in ("default", "d"):
            return Sealed.of({"is": FILTER, "name": name, "arguments": _plain([*args[given:]]), "named": _plain(named)})
        undefined = None if name in _OF_UNDEFINED else first_undefined(*values)
        return function(*args, **named) if undefined is None else undefined

    return guarded


@cache
def _guarded_test(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*args: Any, **named: Any) -> Any:
        if is_sealed(*args, *named.values()):
            _refuse("a test of it")
        require_defined(first_undefined(*args, *named.values()))
        return function(*args, **named)

    return guarded


def contains_secret(value: object) -> bool:
    """True if a secret is anywhere in ``value``. Raises TemplateError for a forged one."""
    if isinstance(value, Mapping):
        return any(map(contains_secret, value.values()))
    if isinstance(value, (list, tuple, ValuesView, ItemsView)):
        return any(map(contains_secret, value))
    return isinstance(require_unforged(value), Sealed)


def listed(value: Any) -> Any:
    """``value``; an iterator, which can be read only once, as a list."""
    return list(value) if isinstance(value, Iterator) else value


def as_text(value: object) -> str | Sealed:
    """``value`` as it stands in a text; a token for a collection with a secret in it, whose text only the host knows.
    Raises TemplateError."""
    from agent.inventory.template.lazy import settled

    value = listed(value)
    if isinstance(value, (str, Sealed)):
        found: str | Sealed = require_unforged(value)
        return found
    if contains_secret(value):
        return Sealed.of({"is": FILTER, "name": "string", "arguments": [_plain(value)], "named": {}})
    return str(settled(value))


def _plain(value: Any) -> JSON:
    from agent.inventory.template.lazy import settled

    def exact(part: Any) -> Any:
        if isinstance(part, dict):
            return {f"{key}": exact(item) for key, item in part.items()}
        if isinstance(part, list):
            return [exact(item) for item in part]
        if isinstance(part, float):
            raise TemplateError(f"{part} beside a secret is a number with a fraction; put it in quotes")
        return part

    found: JSON = exact(settled(value, tuples=lambda items: token({"is": TUPLE, "of": exact(items)})))
    return found


@cache
def _sandbox() -> Any:
    from agent.inventory.template.sandbox import Sandbox

    return Sandbox()


def call_filter(name: str, arguments: list[Any], named: Mapping[str, Any]) -> object:
    """The result of the filter ``name`` for decrypted values. Raises FilterRefusal."""
    from agent.inventory.template.lazy import settled

    sandbox = _sandbox()
    context = sandbox.from_string("").new_context()
    try:
        with budget:
            found = sandbox.call_filter(name, arguments[0], arguments[1:], named, context=context)
            return settled(found, tuples=tuple)
    except TemplateError as error:
        raise FilterRefusal(f"{error}") from None
    except Exception as error:  # from a filter that got an unexpected value; the message may hold it
        raise FilterRefusal(type(error).__name__) from None
