"""Models of the YAML that people write. The text below a field in the source describes the field."""

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
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(found, ast.ClassDef)
    for field, text in pairwise(found.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, " ".join(said.split())
