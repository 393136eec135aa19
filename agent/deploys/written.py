"""Models of the YAML that people write, and the values that several of them take, each checked where it stands.

The text below a field in the source describes the field.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler

from agent.domain import duration
from agent.domain.fault import Mistake, refuse_truth

T = TypeVar("T")

_MODE = re.compile(r"0?[0-7]?(4[04]{2}|5[05]{2}|6[046]{2}|7[01457]{2})")
"""The octal modes that people write. Any other one is hardly meant."""


class Written(BaseModel):
    """The base of such models. Keys that are no field are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            properties[cls.model_fields[name].alias or name]["description"] = text
        return schema


class ExactlyWritten(Written):
    """A model whose values keep the type that YAML gives them: it takes no text for a number."""

    model_config = ConfigDict(strict=True)


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """The descriptions of fields that have one, by name: that of the ``Field``, or else the text below it. Only ask to
    make a schema or a complaint: reading the sources takes half as long as loading the models."""
    below: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, Written):
            below |= _texts_below_fields(each)
    said = {name: field.description or below.get(name, "") for name, field in model.model_fields.items()}
    return {name: text for name, text in said.items() if text}


def _texts_below_fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(_classes(model.__module__)[model.__name__].body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, " ".join(said.split())


@cache
def _classes(module: str) -> Mapping[str, ast.ClassDef]:
    """The classes in the source of a loaded module, by name."""
    source = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in ast.walk(source) if isinstance(node, ast.ClassDef)}


def checked(is_good: Callable[[str], object], what: str, remedy: str) -> AfterValidator:
    """The validator that refuses a text for which ``is_good`` is false: "'x' is not ``what``", with the ``remedy``."""

    def check(text: str) -> str:
        if not is_good(text):
            raise Mistake(f"{text!r} is not {what}", remedy)
        return text

    return AfterValidator(check)


def _without_nul(value: T) -> T:
    if "\0" in f"{value}":
        raise Mistake("no program can be given a NUL", "leave the NUL out")
    return value


def _quoted(value: object) -> object:
    if isinstance(value, int):
        meant = next(filter(_MODE.fullmatch, (f"{value:04o}", f"0{value}")), None)  # YAML reads 0600 as 384
        remedy = f'write "{meant}", if that is meant' if meant else 'write it in quotes, such as "0640"'
        raise Mistake(f"a mode without quotes is read as the number {value}", remedy)
    return value


def _duration(text: str) -> str:
    duration.seconds(text)
    return text


Number = Annotated[int, BeforeValidator(refuse_truth)]
"""A whole number; pydantic alone would take true for 1."""

NO_NUL = AfterValidator(_without_nul)
"""The validator that refuses a NUL, which no program can be given."""

Word = Annotated[str | Number, NO_NUL]
"""An argument of a program, or the value of one of its variables."""

Variable = Annotated[
    str,
    checked(
        re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch,
        "the name of a variable",
        "letters, digits and _, no digit first",
    ),
]

UserName = Annotated[
    str,
    checked(
        re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*").fullmatch,
        "the name of a user",
        "write one of the host, such as root",
    ),
]

AbsolutePath = Annotated[
    str, checked(lambda path: path.startswith("/") and "\0" not in path, "an absolute path", "begin it with /")
]

AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$")]
"""The name or the number of a user or a group."""

Duration = Annotated[str, AfterValidator(_duration)]
"""A duration such as ``10m``."""

Quoted = BeforeValidator(_quoted)
"""The validator that refuses digits without quotes: YAML reads them as another number."""
