"""pydantic's errors in our words: problems with key paths and remedies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from agent.deploys.written import descriptions
from agent.domain.fault import Fault, KeyPath, Mistake
from agent.inventory.complaint import Complaints, unknown_key
from agent.system.document import List, Map, Node, Scalar, locate, plain

_MAPPING = ("a mapping is expected", "write `key: value` lines below it; where names are enough, [a, b]")
_LIST = ("a list is expected", "write [a, b], or a line with a dash for each")
_TRUTH = ("true or false is expected", "write true or false")
_WHOLE = ("a whole number is expected", "write it without quotes and without a fraction")
_WANTED = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _MAPPING),
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    "int_parsing_size": ("a smaller number is expected", "write such a number"),
    "string_type": ("text is expected", "put it in quotes"),
    "invalid_key": ("a text is expected as key", "put it in quotes"),
}
"""Problem and remedy by type of error, in the words of YAML; pydantic's messages have those of programs."""

_TEMPLATE = re.compile(r"\{[{%#]")
_TRUTHS = {True: "a truth value (true, yes, on)", False: "a truth value (false, no, off)"}
_QUOTE_LIMIT = 60
"""Characters of a wrong value that a message repeats."""
_CLOSING = "'\"]})"
"""Last characters of a value that a message repeats even where it cuts the value."""


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], node: Node, complaints: Complaints, *, path: KeyPath = ()) -> M | None:
    """``node``, to which ``path`` leads, as ``model``. None after complaints."""
    try:
        return model.model_validate(plain(node))
    except ValidationError as error:
        complain(error, model, node, complaints, path=path)
    return None


def complain(
    error: ValidationError,
    model: type[BaseModel],
    node: Node,
    complaints: Complaints,
    *,
    path: KeyPath = (),
    rendered: bool = True,
) -> None:
    """Add every problem of ``error``, at its place in ``node``, to which ``path`` leads. ``rendered``: False to skip
    values that hold a template."""
    entries = error.errors(include_url=False)
    places = [real(entry["loc"], node) for entry in entries]
    for index, (entry, found) in enumerate(zip(entries, places, strict=True)):
        if _is_echo(entry["type"], found, places[:index] + places[index + 1 :]):
            continue
        if not rendered and entry["type"] != "extra_forbidden" and contains_template(at(node, found)):
            continue
        shown = found[:-1] if entry["type"] == "extra_forbidden" else found
        for fault in _words(entry, model, (*path, *shown)):
            inner = (*found, *fault.path)
            complaints.add(locate(node, real(inner, node)), (*path, *shown, *fault.path), fault.problem, fault.remedy)


def _is_echo(kind: str, place: KeyPath, others: list[KeyPath]) -> bool:
    """True if the error only says that another alternative of a union does not fit, or that a list with errors is
    short."""
    if kind in ("model_type", "dataclass_type", "too_short"):
        return any(other[: len(place)] == place for other in others)
    return kind.endswith(("_type", "literal_error")) and any(
        len(other) > len(place) and other[: len(place)] == place for other in others
    )


def _words(entry: Any, model: type[BaseModel], path: KeyPath) -> tuple[Fault, ...]:
    """The faults of one pydantic error in our words. Their paths begin at the value."""
    location: tuple[int | str, ...] = entry["loc"]
    kind, error = entry["type"], entry.get("ctx", {}).get("error")
    if isinstance(error, Mistake):
        return error.faults
    if kind == "extra_forbidden":
        problem, remedy = unknown_key(location[-1], _known(model, location[:-1])[1])
        doubled = len(path) > 1 and path[-1] == path[-2]
        return (Fault(problem, f'leave out one of the two "{path[-1]}"' if doubled else remedy),)
    if kind == "missing":
        return (Fault(f'the key "{location[-1]}" is missing', "add it"),)
    wanted, remedy = _wanted(entry, _known(model, location)[0])
    value = _TRUTHS[entry["input"]] if isinstance(entry["input"], bool) else repr(entry["input"])
    closing = value[-1] if value[-1] in _CLOSING else ""
    shown = value if len(value) <= _QUOTE_LIMIT else f"{value[:_QUOTE_LIMIT]}…{closing}"
    if kind == "string_pattern_mismatch":
        return (Fault(f"{shown} does not have the form that is expected", remedy),)
    return (Fault(f"{wanted}, not {shown}", remedy),)


def _wanted(entry: Any, meaning: str) -> tuple[str, str]:
    """The problem, without the value, and the remedy. ``meaning``: the description of the field."""
    context: Mapping[str, Any] = entry.get("ctx", {})
    if (known := _WANTED.get(entry["type"])) is not None:
        return known
    match entry["type"]:
        case "literal_error" | "enum":
            return f"{context['expected']} is expected".replace("'", ""), meaning or "write it as it stands there"
        case "string_pattern_mismatch":
            form = f"{meaning[0].lower()}{meaning[1:]}" if meaning else f"a text that matches {context['pattern']}"
            return "", f"this is: {form}"
        case "string_too_long" | "string_too_short" | "too_long" | "too_short":
            few = "at least" if entry["type"].endswith("short") else "at most"
            count = context.get("min_length", context.get("max_length"))
            return (
                f"{few} {count} {'characters are' if 'string' in entry['type'] else 'entries are'} expected",
                "correct it",
            )
        case "greater_than_equal" | "less_than_equal":
            least = "at least" if "ge" in context else "at most"
            return f"{least} {context.get('ge', context.get('le'))} is expected", "write such a number"
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:], meaning or "correct it"


def is_template(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, str) and _TEMPLATE.search(node.value) is not None


def contains_template(node: Node) -> bool:
    """True if any value in ``node`` is a template."""
    if isinstance(node, List):
        return any(contains_template(item) for item in node.items)
    if isinstance(node, Map):
        return any(contains_template(item) for item in node.values.values())
    return is_template(node)


def at(node: Node, path: KeyPath) -> Node:
    """The node at ``path`` of ``node``. Parts of the path that do not exist are skipped."""
    for part in path:
        node = _inner(node, part) or node
    return node


def _inner(node: Node, part: str | int) -> Node | None:
    if isinstance(node, Map):
        return node.values.get(part)
    return node.items[part] if isinstance(node, List) and isinstance(part, int) and part < len(node.items) else None


def find(node: Node, name: str) -> KeyPath | None:
    """The path of the first key or value in ``node`` that is ``name``."""
    if isinstance(node, Scalar):
        return () if node.value == name else None
    entries = enumerate(node.items) if isinstance(node, List) else node.values.items()
    for part, inner in entries:
        if isinstance(node, Map) and part == name:
            return (name,)
        if isinstance(part, (int, str)) and (below := find(inner, name)) is not None:
            return (part, *below)
    return None


def real(location: KeyPath, node: Node) -> KeyPath:
    """``location`` without parts that only pydantic has (names of union members and validators) or that a short form
    leaves out. A unit or quadlet goes by the name that is written: ``app`` for ``app.service``."""
    path: list[int | str] = []
    for part in location:
        inner = _inner(node, part)
        if inner is None and isinstance(part, str) and "/" not in part:
            part = part.rpartition(".")[0]  # noqa: PLW2901 - the shorter name
            inner = _inner(node, part)
        if inner is not None:
            path.append(part)
            node = inner
    return tuple(path)


def _known(model: type[BaseModel], location: KeyPath) -> tuple[str, list[str]]:
    """The description of the field at ``location``, or of the nearest above it, and the keys known there in order."""
    models, meaning = [model], ""
    for part in location:
        fields = []
        for known in models:
            for name, field in known.model_fields.items():
                if part in (name, field.alias):
                    fields.append(field)
                    meaning = descriptions(known).get(name, meaning).split(". ")[0]
        models = _below(models, fields) or [found for found in models if found.__name__ == part] or models
    keys = [field.alias or name for known in models for name, field in known.model_fields.items()]
    return meaning, list(dict.fromkeys(keys))


def _below(models: list[type[BaseModel]], fields: list[FieldInfo]) -> list[type[BaseModel]]:
    """The models of the values of ``fields``; for models whose keys are names, such as paths, the models of their
    entries."""
    if fields:
        return [found for field in fields for found in _models(field.annotation)]
    return [found for known in models for found in _models(get_type_hints(known).get("__pydantic_extra__"))]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
