"""The scalars of YAML 1.1 that are no texts, such as numbers and dates, and their values.

This is the one place where a tag, written or implied, makes a value. A text that would not get its tag by itself is
refused before PyYAML's constructors see it: they take any text, and fail with any error.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import yaml

from agent.system.document import Key

NUMBER_LIMIT = 400
"""Characters of a number; to read one in base 60 takes quadratic time."""

_TAG = "tag:yaml.org,2002:"
_RESOLVER: Any = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_WORDS = {
    "null": "a null: null, ~ or nothing at all",
    "bool": "a truth value: true or false",
    "int": f"a whole number of at most {NUMBER_LIMIT} characters",
    "float": "a number",
    "timestamp": "a date: 2026-12-01, or with a time 2026-12-01T06:00:00Z",
}
SCALARS: dict[str, Any] = {tag: _CONSTRUCTOR.yaml_constructors[tag] for tag in map(_TAG.__add__, _WORDS)}
"""The constructor that makes a value of a node, by tag."""


def implied(text: str) -> str:
    """The tag that YAML gives a plain ``text`` without a written one."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    return tag


def constructed(tag: str, text: str) -> Key:
    """The value that the constructor of ``tag`` in ``SCALARS`` makes of ``text``; for a date its ISO text. Raises
    ValueError, with the reason, if ``text`` is no such value."""
    meant = (_TAG + "float", _TAG + "int") if tag == _TAG + "float" else (tag,)
    try:
        if len(text) > NUMBER_LIMIT or implied(text) not in meant:
            raise ValueError
        value: Key | datetime.date = SCALARS[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError, KeyError, IndexError):
        raise ValueError(f"{text[:40]!r} is not {_WORDS[tag.removeprefix(_TAG)]}") from None
    return value.isoformat() if isinstance(value, datetime.date) else value


def core_value(text: str) -> Key:
    """The value of a plain scalar as yaml.v3 of Go reads it: YAML 1.2, and octal numbers with a leading 0. A date is
    the text of its first moment, in UTC."""
    if text in _CORE_WORDS:
        return _CORE_WORDS[text]
    digits = text.replace("_", "")
    if len(text) <= NUMBER_LIMIT and _CORE_INTEGER.fullmatch(digits):
        return int(re.sub(r"^([-+]?)0o?(?=[0-7])", r"\g<1>0o", digits), 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", text):
        return float(text)
    return f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text


_CORE_INTEGER = re.compile(r"[-+]?([1-9][0-9]*|0[xX][0-9a-fA-F]+|0[bB][01]+|0(o?[0-7]+)?)")

_CORE_WORDS: dict[str, Key] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
