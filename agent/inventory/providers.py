"""``vault()``, ``aws_secret()``, ``azure_secret()`` and ``google_secret()`` in templates: secrets that lie elsewhere.

A call gives a token that says where the secret lies. Only the host asks for the value, with its own credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from jinja2 import TemplateError
from pydantic import AfterValidator, BeforeValidator, Field

from agent.deploys.written import ExactlyWritten
from agent.domain.digest import JSON
from agent.domain.fault import Mistake
from agent.domain.provider import ARN, AWS_DOMAINS, FORMS, ProviderKind, reference
from agent.domain.sealed import PROVIDER
from agent.inventory.template.sealed import Sealed
from agent.system.http import is_local


def _server(written: str) -> str:
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


def functions(settings: ProviderSettings, *, complete: bool) -> Mapping[str, Callable[..., Sealed]]:
    """The functions by their names in templates. ``complete``: False where fleet.yaml could not be read; then a missing
    setting is no error."""
    said = settings.model_dump(mode="json", exclude_none=True)
    known = {ProviderKind.VAULT: "vault", ProviderKind.AWS: "aws", ProviderKind.AZURE: "azure"}
    return {kind.value: _function(kind, said.get(known.get(kind, ""), {}), complete) for kind in ProviderKind}


def _function(kind: ProviderKind, settings: Mapping[str, JSON], complete: bool) -> Callable[..., Sealed]:
    def function(written: object = None) -> Sealed:
        found = reference(kind, written) if isinstance(written, str) else None
        if found is None:
            raise TemplateError(f"{kind}() takes where the secret lies; write {FORMS[kind]}")
        if kind is ProviderKind.VAULT and not settings and complete:
            raise TemplateError(
                "no server is named; write `providers: {vault: {address: https://vault.example.org}}` in fleet.yaml"
            )
        if kind is ProviderKind.AWS and not settings and complete and not found.place.startswith("arn:"):
            raise TemplateError("no region is named; write `providers: {aws: {region: eu-central-1}}` in fleet.yaml")
        arn = ARN.fullmatch(found.place) if kind is ProviderKind.AWS else None
        if arn is not None and arn["partition"] not in AWS_DOMAINS and "endpoint" not in settings and complete:
            raise TemplateError(
                f"the servers of {arn['partition']} are not known; write `providers: {{aws: {{region: {arn['region']},"
                " endpoint: https://…}}` in fleet.yaml"
            )
        said: dict[str, JSON] = {"name": kind.value, "place": found.place, "key": found.key, "settings": {**settings}}
        return Sealed.of({"is": PROVIDER, **said, "call": f"{kind}({written!r})"})

    function.__qualname__ = kind.value  # which Python's errors name
    return function
