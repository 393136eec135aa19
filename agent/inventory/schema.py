"""JSON Schemas of the files that people and hosts write: for editors, readers of reports, and policies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from agent.checks.spec import KINDS as CHECKS
from agent.deploys.spec import Spec, kinds, spec_class
from agent.domain.pins import TOOL_NAME
from agent.domain.policy import PolicyInput
from agent.domain.report import Report
from agent.errors import UsageError
from agent.inventory.complaint import nearest
from agent.inventory.fleet import NONE_BY_DEFAULT, NOTHING, Fleet
from agent.inventory.lock import LockFile
from agent.inventory.site import NAME
from agent.inventory.tools import TOOLS_FILE, Archive, Python

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = ("site", "fleet", "tools", "lock", "report", "policy")

Schema = dict[str, Any]

_TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{.*\}\}"}
_DURATION_FIELDS = ("fetch", "drift", "plan", "settle", "deploy_timeout", "soak", "stale_after")


def schema(name: str) -> Schema:
    """The schema of one of ``SCHEMAS``. Raises UsageError for another name."""
    match name:
        case "site":
            document = _site()
        case "fleet":
            document = _fleet()
        case "tools":
            document = _tools()
        case "lock":
            document = LockFile.model_json_schema()
        case "report":
            document = TypeAdapter(Report).json_schema()
        case "policy":
            document = TypeAdapter(PolicyInput).json_schema()
        case _:
            hint = nearest(name, SCHEMAS, otherwise=f"there are {', '.join(SCHEMAS)}")
            raise UsageError(f'there is no schema "{name}"', hint=hint)
    return {"$schema": DIALECT, "$id": f"urn:hostwright:{name}:1", **_closed(document)}


def _closed(node: Any) -> Any:
    """``node`` with unknown keys forbidden beside ``patternProperties``; pydantic leaves them open."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _closed(value) for key, value in node.items()}
    return {"additionalProperties": False, **inner} if "patternProperties" in inner else inner


def _defined(models: Iterable[type[BaseModel]]) -> tuple[dict[Any, Schema], Schema]:
    """References to the schemas of ``models``, by model, and the definitions that they refer to."""
    references, document = models_json_schema([(model, "validation") for model in models])
    return {model: reference for (model, _), reference in references.items()}, document["$defs"]


def _tools() -> Schema:
    references, definitions = _defined((Archive, Python))
    return {
        "title": TOOLS_FILE,
        "type": ["object", "null"],
        "patternProperties": {f"^{TOOL_NAME.pattern}$": {"oneOf": [*references.values()]}},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _site() -> Schema:
    specs = {kind: spec_class(kind) for kind in kinds()}
    references, definitions = _defined((*specs.values(), *CHECKS.values()))
    short = {kind: {"anyOf": [references[spec], *_other_short_forms(spec)]} for kind, spec in specs.items()}
    checks = {"type": "array", "items": {"anyOf": [*(references[check] for check in CHECKS.values()), _TEMPLATE]}}
    deploy = {
        "oneOf": [
            {"enum": [kind for kind, spec in specs.items() if _needs_nothing(spec)]},
            {
                "type": "object",
                "properties": short,
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
            _long(short, {"anyOf": [checks, _TEMPLATE]}),
        ]
    }
    strings = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    play = {
        "type": "object",
        "properties": {
            "hosts": {**strings, "description": "a host pattern, such as web:&production:!canary"},
            "deploys": {"type": "array", "items": deploy},
        },
        "required": ["hosts", "deploys"],
        "additionalProperties": False,
    }
    return {"title": "site.yaml", "type": ["array", "null"], "items": play, "$defs": _templated(definitions)}


def _long(short: Schema, health: Schema) -> Schema:
    """The schema of the long form. ``with`` takes what the short form of the kind takes."""
    withs = [
        {
            "if": {"properties": {"deploy": {"const": kind}}, "required": ["deploy"]},
            "then": {"properties": {"with": form}},
        }
        for kind, form in short.items()
    ]
    return {
        "allOf": withs,
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "default: the kind"},
            "deploy": {"anyOf": [{"enum": [*short]}, {"type": "string", "pattern": r"^(deploys/|git\+).+\.py$"}]},
            "with": {"description": "arguments of a built-in, or what a deploy file finds in host.data"},
            "needs": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "health": {**health, "description": "checks that say whether the deploy does what it is for"},
            "mode": {"enum": ["enforce", "observe"]},
            "plan": {"enum": ["confined", "privileged"]},
            "merge": {"const": "replace"},
            "on_remove": {
                "type": "string",
                "pattern": r"^deploys/.+\.py$",
                "description": "a deploy file that is run when this deploy has left Git",
            },
        },
        "required": ["deploy"],
        "additionalProperties": False,
    }


def _other_short_forms(spec: type[Spec]) -> list[Schema]:
    """Schemas of the shorter forms of a kind: a template, nothing where it needs nothing, or the kind's own."""
    nothing = [{"type": "null"}] if _needs_nothing(spec) else []
    return [_TEMPLATE, *nothing, *([dict(spec.short)] if spec.short is not None else [])]


def _needs_nothing(spec: type[Spec]) -> bool:
    return not any(field.is_required() for field in spec.model_fields.values())


def _templated(node: Any) -> Any:
    """``node`` with a template allowed for every value that is not text."""
    if isinstance(node, list):
        return [_templated(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _templated(value) for key, value in node.items()}
    for key in ("properties", "patternProperties"):
        if isinstance(node.get(key), dict):
            inner[key] = {name: _or_template(_templated(value)) for name, value in node[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            inner[key] = _or_template(inner[key])
    return inner


def _or_template(node: Schema) -> Schema:
    return {"anyOf": [node, _TEMPLATE]}


def _with_written_defaults(document: Schema) -> Schema:
    """``document`` with defaults as people write them: ``60s`` for durations kept in seconds."""
    for definition in document.get("$defs", {}).values():
        for name, field in definition.get("properties", {}).items():
            if name in _DURATION_FIELDS and isinstance(field.get("default"), int):
                field["default"] = f"{field['default']}s"
    for field in document["properties"].values():
        if field.get("default") and isinstance(field["default"], dict):
            del field["default"]
    return document


def _fleet() -> Schema:
    document = _with_written_defaults(Fleet.model_json_schema())
    for name, field in document["properties"].items():
        nothing = [{"type": "null"}, *([{"const": NOTHING}] if name in NONE_BY_DEFAULT else [])]
        said = {key: field.pop(key) for key in ("default", "description") if key in field}
        document["properties"][name] = {"anyOf": [field, *nothing], **said}
    return document
