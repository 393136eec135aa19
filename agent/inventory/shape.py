"""pydantic's complaints in our words: turns a ValidationError into problems with key paths and remedies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agent.domain.fault import Path
from agent.inventory.complaint import Complaints, unknown_key
from agent.system.yaml import List, Map, Node, Position, locate

_WANTED = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), "a mapping is expected"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list is expected"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is expected"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number is expected"),
    "string_type": "text is expected",
}
"""By type of error, what people write in YAML, where pydantic's message names what programs call it."""

_QUOTE_LIMIT = 60
"""Characters of a wrong value that a message repeats."""


def complain(
    error: ValidationError,
    model: type[BaseModel],
    node: Node | None,
    complaints: Complaints,
    *,
    place: Position,
    path: Path = (),
    host: str = "",
) -> None:
    """Adds every problem of ``error``, at its place in ``node`` or, without one, at ``place``."""
    entries = error.errors(include_url=False)
    places = [real(entry["loc"], node) for entry in entries]
    for index, (entry, found) in enumerate(zip(entries, places, strict=True)):
        if _is_echo(entry["type"], found, places[:index] + places[index + 1 :]):
            continue
        problem, remedy = _words(entry, model)
        shown = found[:-1] if entry["type"] == "extra_forbidden" else found
        position = locate(node, found) if node is not None else place
        complaints.add(position, (*path, *shown), problem, remedy, host=host)


def _is_echo(kind: str, place: Path, others: list[Path]) -> bool:
    """Whether this only says that another alternative of a union did not fit, or that a list with errors is short."""
    if kind in ("model_type", "dataclass_type", "too_short"):
        return any(other[: len(place)] == place for other in others)
    return kind.endswith(("_type", "literal_error")) and any(
        len(other) > len(place) and other[: len(place)] == place for other in others
    )


def _words(entry: Any, model: type[BaseModel]) -> tuple[str, str]:
    location: tuple[int | str, ...] = entry["loc"]
    if entry["type"] == "extra_forbidden":
        return unknown_key(location[-1], _keys(model, location[:-1]))
    if entry["type"] == "missing":
        return f'the key "{location[-1]}" is missing', "add it"
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message[:1].lower() + message[1:]
    message = _WANTED.get(entry["type"], message)
    if entry["type"] in ("value_error", "assertion_error"):
        return message, ""
    value = repr(entry["input"])
    return f"{message}, not {value if len(value) <= _QUOTE_LIMIT else value[:_QUOTE_LIMIT] + '…'}", ""


def real(location: Path, node: Node | None) -> Path:
    """``location`` without the parts that only pydantic knows (names of union members and validators), and without
    those that a short form leaves out."""
    path: list[int | str] = []
    for part in location:
        if isinstance(node, Map) and part in node.values:
            node = node.values[part]
        elif isinstance(node, List) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        elif node is not None:
            continue
        path.append(part)
    return tuple(path)


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys known at ``location``, in the order of the models' fields."""
    models = [model]
    for part in location:
        fields = [
            field for known in models for name, field in known.model_fields.items() if part in (name, field.alias)
        ]
        inner = [found for field in fields for found in _models(field.annotation)]
        models = inner or [found for found in models if found.__name__ == part] or models
    return list(dict.fromkeys(f.alias or name for known in models for name, f in known.model_fields.items()))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
