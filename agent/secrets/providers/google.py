"""Google Secret Manager, by the service account of the machine.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access,
https://cloud.google.com/compute/docs/access/authenticate-workloads
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from agent.secrets.providers.api import ProviderError, Servers

METADATA = "http://metadata.google.internal"
SERVER = "https://secretmanager.googleapis.com"


class Google:
    """Google Secret Manager. ``metadata``: the URL of the machine's metadata; ``server``: the URL of Secret Manager."""

    def __init__(self, metadata: str = METADATA, server: str = SERVER) -> None:
        self._metadata = metadata
        self._servers = Servers()
        self._server = server

    def value(self, place: str, settings: Mapping[str, Any]) -> str:
        """The value of a secret: the newest version, unless ``place`` names one. Raises ProviderError."""
        del settings
        version = place if "/versions/" in place else f"{place}/versions/latest"
        url, headers = f"{self._server}/v1/{version}:access", {"Authorization": f"Bearer {self._token}"}
        data = self._servers.secret(url, headers, "payload", "data", who=self._server)
        try:
            return base64.b64decode(data, validate=True).decode(errors="surrogateescape")
        except binascii.Error:
            raise ProviderError(f"{self._server} answered what is no base64") from None

    @cached_property
    def _token(self) -> str:
        url = f"{self._metadata}/computeMetadata/v1/instance/service-accounts/default/token"
        who = "the service account of this machine"
        return self._servers.secret(url, {"Metadata-Flavor": "Google"}, "access_token", who=who, direct=True)
