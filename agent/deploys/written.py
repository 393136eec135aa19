"""What people write in YAML, as models whose fields are described by the text below them in the source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler


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
    """Values are taken as the type that YAML gives them, and no text for a number."""

    model_config = ConfigDict(strict=True)


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """By field, what it means: the text below it, or that of its ``Field``. Only asked for by who makes a schema or a
    complaint: reading the sources takes half as long as loading the models."""
    below: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, Written):
            below |= _texts_below_fields(each)
    said = {name: field.description or below.get(name, "") for name, field in model.model_fields.items()}
    return {name: text for name, text in said.items() if text}


def _texts_below_fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(found, ast.ClassDef)
    for field, text in pairwise(found.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, " ".join(said.split())
