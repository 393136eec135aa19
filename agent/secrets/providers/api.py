"""Requests to a provider's API, and answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.errors import SettingsError
from agent.system import http, mask
from agent.system.files import read_bounded
from agent.system.misplaced import require_private

TIMEOUT_S = 10.0
"""For one answer."""

_CREDENTIAL_LIMIT = 16 * 1024

METADATA = "http://169.254.169.254"
"""The address at which a cloud tells a machine about itself, its credentials included. It is reached from that machine
only."""


class ProviderError(Exception):
    """The reason why a value cannot be had."""


class Servers:
    """The servers of one provider. A server that does not answer is not asked again."""

    def __init__(self) -> None:
        self._unreachable: dict[str, str] = {}

    def ask(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        method: str | None = None,
        direct: bool = False,
    ) -> http.Answer:
        """Send a request; with ``direct``, by no proxy. Raises ProviderError where the server does not answer, or a
        header cannot be sent."""
        server = urlsplit(url).netloc
        if not all(map(fits_header, headers.values())):
            raise ProviderError(f"the credentials for {server} hold what no HTTP header can")
        if server not in self._unreachable:
            try:
                return http.ask(url, headers, body, timeout_s=TIMEOUT_S, method=method, direct=direct)
            except (OSError, HTTPException, ValueError) as error:
                self._unreachable[server] = f"{error}"
        raise ProviderError(f"{server} does not answer: {self._unreachable[server]}")

    def secret(self, url: str, headers: Mapping[str, str], *keys: str, who: str, direct: bool = False) -> str:
        """The text that ``keys`` lead to in the JSON object that the server answers, masked from then on. ``who``: the
        server's name in errors. Raises ProviderError."""
        found = text_at(document(self.ask(url, headers, direct=direct), who), *keys, who=who)
        mask.remember(found)
        return found


def fits_header(text: str) -> bool:
    """True for a text that can stand in an HTTP header: one line of printable ASCII."""
    return text.isascii() and text.isprintable()


def loads(text: str | bytes) -> Any:
    """Read JSON, with numbers as the texts that stand there. Raises ValueError and RecursionError."""
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def document(answer: http.Answer, who: str) -> dict[str, Any]:
    """The JSON object in an answer. Raises ProviderError for a status other than 200 and for other JSON. The error does
    not repeat the answer, which may hold anything, secrets included."""
    try:
        found = loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    said = {
        200: "answered what is no JSON object",
        401: "does not accept this host's credentials (status 401)",
        403: "does not allow this host to read it (status 403)",
        404: "has nothing there (status 404)",
    }
    raise ProviderError(f"{who} {said.get(answer.status, f'answered with status {answer.status}')}")


def text_at(found: Mapping[str, Any], *keys: str, who: str) -> str:
    """The text that ``keys`` lead to, one inside the other, in a JSON object. ``who``: its sender's name in the error.
    Raises ProviderError where there is none."""
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise ProviderError(f"{who} answered without {'.'.join(keys)}")
    return value


def credential(path: Path) -> str | None:
    """The text of the file, without white space around it, masked from then on; None where there is no file. Raises
    ProviderError where it cannot be read, or somebody else can read or write it."""
    try:
        require_private(path)
        value = read_bounded(path, _CREDENTIAL_LIMIT).decode().strip()
    except FileNotFoundError:
        return None
    except SettingsError as error:
        raise ProviderError(f"{error.message}; {error.hint}") from None
    except (OSError, ValueError) as error:
        raise ProviderError(f"{path} cannot be read: {error}") from None
    mask.remember(value)
    return value
