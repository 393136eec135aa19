"""Variables as templates see them: each part of a mapping or a list renders on demand.

A broken part therefore fails only where it is used, and parts of one variable may use each other, as in Ansible.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any, SupportsIndex

from jinja2 import TemplateError, Undefined

from agent.inventory.template.sealed import Sealed, require_unforged
from agent.system.document import Key, List, Map, Node, Scalar, Unsafe, Value

VALUE_LIMIT = 100_000
"""The most parts of one rendered value; variables that repeat each other grow fast."""

DEPTH_LIMIT = 100
"""The most collections inside each other in a rendered value."""

_NODES = (Map, List, Scalar)
_SEQUENCES = (list, tuple, set, frozenset, range, Iterator, KeysView, ItemsView, ValuesView)


class LazyMap(dict[Key, Any]):  # noqa: PLW1641  # mappings have no hash
    """A mapping of nodes. ``render`` makes a value of each, on demand and once."""

    __slots__ = ("_render",)

    def __init__(self, nodes: Mapping[Key, Node], render: Callable[[Node, str], object]) -> None:
        super().__init__(nodes)
        self._render = render

    def __getitem__(self, key: Key) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, _NODES):
            part = self._render(part, f".{key}")
            super().__setitem__(key, part)
        return part

    # The methods of dict would pass over __getitem__.
    items = Mapping.items  # type: ignore[assignment]
    values = Mapping.values  # type: ignore[assignment]
    get = Mapping.get  # type: ignore[assignment]
    __eq__ = Mapping.__eq__
    __ne__ = object.__ne__

    def __iter__(self) -> Iterator[Key]:
        return super().__iter__()

    def copy(self) -> dict[Key, Any]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __repr__(self) -> str:
        return repr(settled(self))


def _on_copies(function: Callable[..., Any]) -> Any:
    """A method of ``LazyList`` that looks at every part: ``function`` of copies of the lists, with each part rendered.
    The methods of ``list`` would pass over ``__getitem__``."""

    def method(self: LazyList, *others: Any) -> Any:
        return function(self.copy(), *(other.copy() if isinstance(other, LazyList) else other for other in others))

    return method


class LazyList(list[Any]):  # noqa: PLW1641  # lists have no hash
    """A list of nodes. ``render`` makes a value of each, on demand and once."""

    __slots__ = ("_render",)

    def __init__(self, nodes: Sequence[Node], render: Callable[[Node, str], object]) -> None:
        super().__init__(nodes)
        self._render = render

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        part = super().__getitem__(index)
        if isinstance(part, _NODES):
            part = self._render(part, f"[{index}]")
            super().__setitem__(index, part)
        return part

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __reversed__(self) -> Iterator[Any]:
        return (self[place] for place in reversed(range(len(self))))

    def copy(self) -> list[Any]:
        return list(iter(self))

    __contains__ = _on_copies(operator.contains)
    index = _on_copies(list.index)
    count = _on_copies(list.count)
    __eq__ = _on_copies(operator.eq)
    __ne__ = _on_copies(operator.ne)
    __lt__ = _on_copies(operator.lt)
    __gt__ = _on_copies(operator.gt)
    __le__ = _on_copies(operator.le)
    __ge__ = _on_copies(operator.ge)
    __add__ = _on_copies(operator.add)
    __radd__ = _on_copies(lambda this, other: other + this)
    __mul__ = __rmul__ = _on_copies(operator.mul)

    def __repr__(self) -> str:
        return repr(settled(self))


def settled(value: object, *, sealed: bool = False, tuples: Callable[[list[Any]], Any] = list) -> Value:
    """``value`` as plain data. Iterators become lists; ``tuples`` makes a tuple's value of its items. ``sealed``: True
    where ``value`` was settled before, so that its texts may hold tokens.

    Raises the problem of an ``Absent`` inside, and TemplateError for a value that is no data, forged or too large.
    """
    return _Settling(sealed=sealed, tuples=tuples).value(value, 0)


class _Settling:
    def __init__(self, *, sealed: bool, tuples: Callable[[list[Any]], Any]) -> None:
        self._parts = 0
        self._sealed = sealed
        self._tuples = tuples

    def value(self, value: object, depth: int) -> Value:
        self._parts += 1
        if self._parts > VALUE_LIMIT or depth > DEPTH_LIMIT:
            raise TemplateError(f"renders to more than {VALUE_LIMIT} parts or {DEPTH_LIMIT} levels")
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            if isinstance(value, Unsafe):
                return value
            return str(value if self._sealed else require_unforged(value))
        if isinstance(value, Sealed):
            return str(value)
        if isinstance(value, Undefined):
            str(value)  # raises, and names what is undefined
            raise TemplateError("this `if` has no else, and gives nothing; write what it gives otherwise, as `else ''`")
        if isinstance(value, Mapping):
            return {_key(require_unforged(key)): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, _SEQUENCES):
            items = [self.value(item, depth + 1) for item in value]
            return self._tuples(items) if isinstance(value, tuple) else items
        raise TemplateError(f"the expression gives a {type(value).__name__}, which is no value; was it to be called?")


def _key(key: object) -> Key:
    if key is None or isinstance(key, (bool, int, float, str)):
        return key
    raise TemplateError(f"a key cannot be a {type(key).__name__}")
