"""HashiCorp Vault and OpenBao: https://developer.hashicorp.com/vault/api-docs (auth/approle, secret/kv)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.secrets.providers.api import ProviderError, Servers, credential, document, fits_header, text_at
from agent.system import mask

TOKEN, ROLE, SECRET = "vault-token", "vault-role-id", "vault-secret-id"


class Vault:
    """HashiCorp Vault or OpenBao. ``credentials``: the folder with the file ``vault-token``, or ``vault-role-id`` and
    ``vault-secret-id``."""

    def __init__(self, credentials: Path) -> None:
        self._credentials = credentials
        self._servers = Servers()
        self._token = cache(self._find_token)

    def value(self, place: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object at ``place``; in a KV engine of version 2, its newest version. Raises ProviderError."""
        address, namespace = settings["address"], settings.get("namespace")
        headers = {**_headers(namespace), "X-Vault-Token": self._token(address, namespace, settings["approle"])}
        answer = self._servers.ask(f"{address}/v1/{quote(place)}", headers)
        data = document(answer, address).get("data")
        if isinstance(data, dict) and isinstance(data.get("metadata"), dict) and "data" in data:
            data = data["data"]  # KV version 2
        if not isinstance(data, dict):
            raise ProviderError(f"{address} answered without data")
        return data

    def _find_token(self, address: str, namespace: str | None, approle: str) -> str:
        if token := credential(path := self._credentials / TOKEN):
            if not fits_header(token):
                raise ProviderError(f"{path} is no token: it has to be one line of ASCII")
            return token
        role, secret = credential(self._credentials / ROLE), credential(self._credentials / SECRET)
        if role is None or secret is None:
            raise ProviderError(
                f"this host has no credentials for {address}: put a token into {self._credentials / TOKEN}, or"
                f" {ROLE} and {SECRET} beside it"
            )
        body = json.dumps({"role_id": role, "secret_id": secret}).encode()
        answer = self._servers.ask(f"{address}/v1/auth/{quote(approle)}/login", _headers(namespace), body)
        if answer.status == 400:  # Vault answers so to a wrong role or secret
            raise ProviderError(f"{address} does not accept this host's {ROLE} and {SECRET}")
        token = text_at(document(answer, address), "auth", "client_token", who=address)
        mask.remember(token)
        return token


def _headers(namespace: str | None) -> dict[str, str]:
    return {"X-Vault-Request": "true"} | ({"X-Vault-Namespace": namespace} if namespace else {})
