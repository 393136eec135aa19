"""``vault()``, ``aws_secret()``, ``azure_secret()`` and ``google_secret()`` in templates: secrets that lie elsewhere.

A call gives a token that says where the secret lies. Only the host asks for the value, with its own credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import TemplateError

from agent.domain.digest import JSON
from agent.domain.provider import ARN, AWS_DOMAINS, FORMS, ProviderKind, reference
from agent.domain.sealed import PROVIDER
from agent.inventory.providers import ProviderSettings
from agent.inventory.template.sealed import Sealed


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
