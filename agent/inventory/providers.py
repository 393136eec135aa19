"""``providers`` in fleet.yaml: the services that hosts ask for secrets."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from agent.deploys.written import ExactlyWritten
from agent.domain.fault import Mistake


def _server(written: str) -> str:
    from agent.system.http import is_local  # few fleets name a server

    parts = urlsplit(written)
    wrongs = (
        (not parts.hostname, "it names no host"),
        ("@" in parts.netloc, "it holds a user or a password, which lie on the host"),
        (parts.path.strip("/") or parts.query or parts.fragment, "something stands behind the host and port"),
        (parts.scheme != "https" and not (parts.scheme == "http" and is_local(written)), "it is without TLS"),
    )
    if why := next((why for is_wrong, why in wrongs if is_wrong), None):
        host = parts.netloc.rpartition("@")[2]
        raise Mistake(f"{written!r} is no server to be trusted: {why}", f"write https://{host or 'HOST'}")
    return written.rstrip("/")


Server = Annotated[str, Field(pattern=r"^https?://[!-~]+$"), AfterValidator(_server)]
"""``https://host:port``; without TLS only on the host itself."""


def _mount(written: object) -> object:
    if isinstance(written, bool):
        raise Mistake("this says where its AppRole method is mounted", 'leave it out, or write a path like "approle"')
    return written


class VaultSettings(ExactlyWritten):
    """HashiCorp Vault, or OpenBao."""

    address: Server
    """where it is: https://vault.example.org:8200"""
    namespace: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_.~/-]{1,200}$")] = None
    """of the server, if it has some"""
    approle: Annotated[str, BeforeValidator(_mount), Field(pattern=r"^[A-Za-z0-9_.~/-]{1,200}$")] = "approle"
    """where its AppRole method is mounted"""


class AwsSettings(ExactlyWritten):
    """AWS Secrets Manager."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    """such as eu-central-1"""
    endpoint: Server | None = None
    """of a VPC or a partition; none: the region's public one"""


class AzureSettings(ExactlyWritten):
    """Azure Key Vault."""

    client_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    """of the managed identity, where a host has several"""


class ProviderSettings(ExactlyWritten):
    """The services that hosts ask for secrets that are not in the repository."""

    vault: VaultSettings | None = None
    aws: AwsSettings | None = None
    azure: AzureSettings | None = None
