"""JSON Schemas of the files that people and hosts write: for editors, readers of reports, and policies."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from agent.checks.spec import KINDS as CHECKS
from agent.deploys import catalogue
from agent.deploys.spec import Spec
from agent.domain.policy import PolicyInput
from agent.domain.report import SCHEMA_ID, Report
from agent.errors import UsageError
from agent.inventory.complaint import nearest
from agent.inventory.fleet import Fleet
from agent.inventory.lock import LockFile
from agent.inventory.site import NAME
from agent.inventory.tools import tools_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = ("site", "fleet", "tools", "lock", "report", "policy")

Schema = dict[str, Any]

_TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{.*\}\}"}
_DURATION_FIELDS = ("fetch", "drift", "plan", "settle", "deploy_timeout", "soak", "stale_after")


def schema(name: str) -> Schema:
    """The schema of one of ``SCHEMAS``. Raises UsageError for another name."""
    if name == "site":
        return _headed(_site(), "urn:hostwright:site:1")
    if name == "fleet":
        return _headed(_with_written_defaults(Fleet.model_json_schema()), "urn:hostwright:fleet:1")
    if name == "tools":
        return _headed(tools_schema(), "urn:hostwright:tools:1")
    if name == "lock":
        return _headed(LockFile.model_json_schema(), "urn:hostwright:lock:1")
    if name == "report":
        return _headed(TypeAdapter(Report).json_schema(), SCHEMA_ID)
    if name == "policy":
        return _headed(TypeAdapter(PolicyInput).json_schema(), "urn:hostwright:policy:1")
    hint = nearest(name, SCHEMAS, otherwise=f"there are {', '.join(SCHEMAS)}")
    raise UsageError(f'there is no schema "{name}"', hint=hint)


def _headed(document: Schema, identifier: str) -> Schema:
    return {"$schema": DIALECT, "$id": identifier, **_closed(document)}


def _closed(node: Any) -> Any:
    """``node`` with unknown keys forbidden beside ``patternProperties``; pydantic leaves them open."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _closed(value) for key, value in node.items()}
    return {"additionalProperties": False, **inner} if "patternProperties" in inner else inner


def _site() -> Schema:
    definitions: Schema = {}
    short: Schema = {}
    for kind in catalogue.kinds():
        spec = catalogue.spec_class(kind)
        own = spec.model_json_schema(ref_template=f"#/$defs/{kind}.{{model}}")
        definitions |= {f"{kind}.{name}": _templated(inner) for name, inner in own.pop("$defs", {}).items()}
        definitions[kind] = _templated(own)
        short[kind] = {"anyOf": [{"$ref": f"#/$defs/{kind}"}, *_other_short_forms(spec)]}
    health, more = _health()
    definitions |= more
    deploy = {
        "oneOf": [
            {"enum": [kind for kind in short if _needs_nothing(catalogue.spec_class(kind))]},
            {
                "type": "object",
                "properties": short,
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
            _long(short, health),
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
    return {"title": "site.yaml", "type": ["array", "null"], "items": play, "$defs": definitions}


def _long(short: Schema, health: Schema) -> Schema:
    """The schema of the long form. ``with`` takes what the short form of the kind takes."""
    kinds = list(short)
    withs = [
        {
            "if": {"properties": {"deploy": {"const": kind}}, "required": ["deploy"]},
            "then": {"properties": {"with": {"anyOf": short[kind]["anyOf"]}}},
        }
        for kind in kinds
    ]
    return {
        "allOf": withs,
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "default: the kind"},
            "deploy": {"anyOf": [{"enum": kinds}, {"type": "string", "pattern": r"^(deploys/|git\+).+\.py$"}]},
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


def _health() -> tuple[Schema, Schema]:
    """The schema of ``health``, and the definitions that it refers to."""
    definitions: Schema = {}
    for kind, model in CHECKS.items():
        own = model.model_json_schema(ref_template="#/$defs/health.{model}")
        definitions |= {f"health.{name}": _templated(inner) for name, inner in own.pop("$defs", {}).items()}
        definitions[f"health.{kind}"] = _templated(own)
    checks = [{"$ref": f"#/$defs/health.{kind}"} for kind in CHECKS]
    return {"anyOf": [{"type": "array", "items": {"anyOf": [*checks, _TEMPLATE]}}, _TEMPLATE]}, definitions


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
