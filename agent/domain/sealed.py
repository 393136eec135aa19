"""Sealed values: texts that stand for secrets until a host puts the values in.

Resolving an inventory must not need the values of secrets: administrators check inventories of hosts whose secrets they
cannot read, and a host keeps its desired state on disk. So a template that asks for a secret gets a token. That is a
text between two marks which names the secret: a file of secrets by its blob id, a value of a SOPS file, a provider's
secret, or a filter over one of these. Digests are taken over tokens. On the way to the engine ``opened`` replaces them
by values, in memory.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent.domain.digest import JSON

OPEN, CLOSE = "\uf8d0", "\uf8d1"
"""The marks of a token: private use characters, which templates and values may not hold."""

_TOKEN = re.compile(f"{OPEN}([A-Za-z0-9_-]*={{0,2}}){CLOSE}")

_ESCAPED = "\\uf8d0"
_SHOWN = re.compile(rf"(?:{OPEN}|\\+uf8d0)([A-Za-z0-9_-]*={{0,2}})({CLOSE}|\\+uf8d1)?")

FILE, SOPS, PROVIDER, FILTER, ITEM, TUPLE = "file", "sops", "provider", "filter", "item", "tuple"
"""The kinds of expressions that a token can stand for."""

Expression = Mapping[str, JSON]
"""``{"is": FILE, "path", "blob", "binary", "call"}``, ``{"is": SOPS, "path", "blob", "key", "call"}``,
``{"is": PROVIDER, "name", "place", "key", "settings", "call"}``, ``{"is": FILTER, "name", "arguments", "named"}`` with
tokens among the arguments, ``{"is": ITEM, "of", "key"}``, ``{"is": TUPLE, "of"}`` with a list. ``call``: the call in
the template, such as ``secret('web/admin')``."""


def token(expression: Expression) -> str:
    """The token of ``expression``. Keys keep their order, because a filter may write them out."""
    document = json.dumps(expression, ensure_ascii=False, separators=(",", ":"))
    return f"{OPEN}{base64.urlsafe_b64encode(document.encode()).decode()}{CLOSE}"


def is_sealed(text: object) -> bool:
    """True if ``text`` is a text that holds a token."""
    return isinstance(text, str) and OPEN in text


def before_sealed(text: str) -> str:
    """The part of ``text`` before its first token; all of it where there is none."""
    return text.partition(OPEN)[0]


def contains_sealed(value: object) -> bool:
    """True if ``value`` holds a token anywhere, also in a key."""
    if isinstance(value, str):
        return OPEN in value
    if isinstance(value, Mapping):
        return any(OPEN in f"{key}" or contains_sealed(item) for key, item in value.items())
    return isinstance(value, (list, tuple)) and any(map(contains_sealed, value))


def sealed_at(value: object) -> tuple[str, ...] | None:
    """The keys that lead to the first token in ``value``: to its text, to the list around it, or to the mapping that
    has it in a key. None without a token."""
    if not contains_sealed(value):
        return None
    for key, part in value.items() if isinstance(value, Mapping) else ():
        if (inside := sealed_at(part)) is not None:
            return (key, *inside)
    return ()


def expressions(text: str) -> Iterator[Expression]:
    """The expressions of the tokens in ``text``, and of the tokens among their arguments."""
    for found in _TOKEN.finditer(text):
        yield (expression := _expression(found[1]))
        for part in (expression.get("arguments"), expression.get("named"), expression.get("of")):
            yield from expressions(json.dumps(part, ensure_ascii=False))


def calls(text: str) -> tuple[str, ...]:
    """The calls by which templates ask for the secrets in ``text``, each once: ``secret('web/admin')``."""
    found = (expression.get("call") for expression in expressions(text))
    return tuple(dict.fromkeys(call for call in found if isinstance(call, str)))


def shown(text: str) -> str:
    """``text`` for people: each token is shown as the template wrote it, also where its marks were escaped. ``…``
    stands for one whose end was cut off."""
    if OPEN not in text and _ESCAPED not in text:
        return text
    return _SHOWN.sub(_as_written, text)


def all_shown(value: Any) -> Any:
    """``value`` for people: each text in it as ``shown`` returns it."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: all_shown(item) for key, item in value.items()}
    return [all_shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def _as_written(found: re.Match[str]) -> str:
    asked = ", ".join(calls(f"{OPEN}{found[1]}{CLOSE}")) if found[2] else "…"
    return f"{{{{ {asked} }}}}"


def opened(value: Any, evaluate: Callable[[Expression], object]) -> Any:
    """``value`` with each token replaced by the result of ``evaluate``. Where a text is one token and nothing else, it
    becomes that object, whatever its type; in a longer text the token becomes text."""
    if isinstance(value, str):
        if OPEN not in value:
            return value
        if whole := _TOKEN.fullmatch(value):
            return evaluate(_expression(whole[1]))
        return _TOKEN.sub(lambda found: as_text(evaluate(_expression(found[1]))), value)
    if isinstance(value, Mapping):
        return {key: opened(item, evaluate) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [opened(item, evaluate) for item in value]
    return value


def as_text(value: object) -> str:
    """``value`` as text; empty for None."""
    return "" if value is None else f"{value}"


def _expression(payload: str) -> Expression:
    """The expression of a token. A damaged or foreign token has the empty kind."""
    try:
        found = json.loads(base64.urlsafe_b64decode(payload))
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"is": "", "call": "a damaged token"}
