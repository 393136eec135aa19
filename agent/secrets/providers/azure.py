"""Azure Key Vault, by the managed identity of the machine.

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret (7.4),
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from agent.secrets.providers.api import METADATA, Servers

DOMAIN = "https://{vault}.vault.azure.net"


class Azure:
    """Azure Key Vault. ``metadata``: the URL of the machine's metadata; ``domain``: the URL of a key vault, with
    ``{vault}`` for its name."""

    def __init__(self, metadata: str = METADATA, domain: str = DOMAIN) -> None:
        self._metadata = metadata
        self._servers = Servers()
        self._domain = domain
        self._token = cache(self._find_token)

    def value(self, place: str, settings: Mapping[str, Any]) -> str:
        """The value of a secret: the newest version, unless ``place`` names one. Raises ProviderError."""
        vault, _, secret = place.partition("/")
        server = self._domain.format(vault=vault)
        headers = {"Authorization": f"Bearer {self._token(settings.get('client_id'))}"}
        return self._servers.secret(f"{server}/secrets/{secret}?api-version=7.4", headers, "value", who=server)

    def _find_token(self, client_id: str | None) -> str:
        query = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}
        query |= {"client_id": client_id} if client_id else {}
        url = f"{self._metadata}/metadata/identity/oauth2/token?{urlencode(query)}"
        who = "the managed identity of this machine"
        return self._servers.secret(url, {"Metadata": "true"}, "access_token", who=who, direct=True)
