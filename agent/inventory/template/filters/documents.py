"""Ansible's filters of JSON and YAML."""

from __future__ import annotations

import json
import re
from typing import Any

from agent.inventory.template.lazy import settled
from agent.system import yaml
from agent.system.document import plain


def from_json(value: str, **_: object) -> Any:
    return json.loads(value)


def to_json(value: object, **options: Any) -> str:
    for unused in ("vault_to_text", "preprocess_unsafe", "profile"):
        options.pop(unused, None)
    return json.dumps(settled(value), **options)


def to_nice_json(value: object, indent: int = 4, sort_keys: bool = True, **options: Any) -> str:
    options.pop("separators", None)
    return to_json(value, indent=indent, sort_keys=sort_keys, separators=(",", ": "), **options)


def from_yaml(value: Any) -> Any:
    """The document, or ``value`` itself where it is no text."""
    if not isinstance(value, str):
        return value
    node = yaml.load(value.encode(), "the text", last_wins=True)
    return None if node is None else plain(node)


def from_yaml_all(value: Any) -> Any:
    """The documents of a text, which lines ``---`` separate; none for None. Any other value is returned as it is."""
    if not isinstance(value, str):
        return [] if value is None else value
    texts = re.split(r"(?m)^---(?:\s|$)", value)
    return [from_yaml(text) for place, text in enumerate(texts) if place or text.strip()]


def to_yaml(value: object, *_: object, default_flow_style: bool | None = None, **options: Any) -> str:
    return yaml.dump_as(settled(value), default_flow_style=default_flow_style, **options)


def to_nice_yaml(value: object, indent: int = 4, *_: object, default_flow_style: bool = False, **options: Any) -> str:
    return to_yaml(value, indent=indent, default_flow_style=default_flow_style, **options)
