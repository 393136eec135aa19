"""The values of secrets that providers hold. Each place is asked for once in a process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.domain.provider import ProviderKind
from agent.secrets.providers.api import ProviderError, loads
from agent.secrets.providers.aws import Aws
from agent.secrets.providers.azure import Azure
from agent.secrets.providers.google import Google
from agent.secrets.providers.vault import Vault
from agent.system import mask

_AskProvider = Callable[[str, Mapping[str, Any]], "str | Mapping[str, Any]"]
"""A function that returns the value at a place, asked for by settings: a text, or an object of several values. Raises
ProviderError."""


class Providers:
    """All providers that the agent knows. ``credentials``: the folder with this host's own credentials for them."""

    def __init__(self, credentials: Path) -> None:
        self._ask: dict[ProviderKind, _AskProvider] = {
            ProviderKind.VAULT: Vault(credentials).value,
            ProviderKind.AWS: Aws(credentials).value,
            ProviderKind.AZURE: Azure().value,
            ProviderKind.GOOGLE: Google().value,
        }
        self._values: dict[tuple[ProviderKind, str], str | Mapping[str, Any]] = {}

    def value(self, kind: ProviderKind, place: str, key: str, settings: Mapping[str, Any]) -> str:
        """The text at ``place``, masked from then on. ``key``: the field of an object or of a text in JSON; empty: the
        text as a whole. Raises ProviderError."""
        mask.forbid_core_dumps()
        if (kind, place) not in self._values:
            self._values[kind, place] = self._ask[kind](place, settings)
        found = _part(self._values[kind, place], place, key)
        mask.remember(found)
        return found


def _part(value: str | Mapping[str, Any], place: str, key: str) -> str:
    if not key and isinstance(value, str):
        return _text(value, place)
    if isinstance(value, str):
        mask.remember(value)
        try:
            value = loads(value)
        except (ValueError, RecursionError):
            value = {}
    found = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(found, (dict, list)) or found is None:
        raise ProviderError(f"there is no text {key!r} in {place}")
    return _text(found if isinstance(found, str) else json.dumps(found), place)


def _text(found: str, place: str) -> str:
    """Return ``found``, in which surrogates may stand for bytes that are no text. Raises ProviderError for any other
    surrogate: JSON can hold half of a pair."""
    try:
        found.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise ProviderError(f"what is in {place} is no Unicode text: it has half of a surrogate pair") from None
    return found
