"""Providers of secrets: servers that hand out a value for credentials. The references by which templates name one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class ProviderKind(StrEnum):
    """A kind of provider, called like the function that templates ask it with."""

    VAULT = "vault"
    AWS = "aws_secret"
    AZURE = "azure_secret"
    GOOGLE = "google_secret"


@dataclass(frozen=True, slots=True)
class Reference:
    """The place of a secret. ``place``: its name at the provider. ``key``: the key of one part of it; empty for the
    whole."""

    place: str
    key: str


FORMS: dict[ProviderKind, str] = {
    ProviderKind.VAULT: "vault('<path, as kv/data/web>#<key>')",
    ProviderKind.AWS: "aws_secret('<name or ARN>'), or with #<key> of a JSON object",
    ProviderKind.AZURE: "azure_secret('<key vault>/<secret>'), with /<version> and #<key> where wanted",
    ProviderKind.GOOGLE: "google_secret('projects/<id>/secrets/<name>'), with /versions/<n> and #<key> where wanted",
}
"""The form of a reference to each provider, for people."""

ARN = re.compile(
    r"arn:(?P<partition>aws(-[a-z]{1,10}){0,3}):secretsmanager:(?P<region>[a-z0-9-]{1,40}):[0-9]{12}"
    r":secret:[A-Za-z0-9/_+=.@-]{1,519}"
)
"""The ARN of a secret in AWS. Its region becomes part of the name of the server that is asked."""

AWS_DOMAINS = {"aws": "amazonaws.com", "aws-cn": "amazonaws.com.cn", "aws-us-gov": "amazonaws.com"}
"""By partition of AWS, the domain of its servers. Other partitions need an endpoint in fleet.yaml."""

_PLACES = {
    ProviderKind.VAULT: re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9._~@:+=,-]+(/[A-Za-z0-9._~@:+=,-]+)+"),
    ProviderKind.AWS: re.compile(rf"(?!arn:)[A-Za-z0-9/_+=.@:-]{{1,512}}|{ARN.pattern}"),
    ProviderKind.AZURE: re.compile(r"[A-Za-z0-9-]{3,24}/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?"),
    ProviderKind.GOOGLE: re.compile(
        r"projects/[a-z0-9:.-]{1,63}/secrets/[A-Za-z0-9_-]{1,255}(/versions/[A-Za-z0-9_-]{1,63})?"
    ),
}
"""The names that each provider allows, without the characters that would have a meaning in a URL."""

_KEY = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


def reference(kind: ProviderKind, written: str) -> Reference | None:
    """The reference that ``written`` is; None where it does not have the form in ``FORMS``."""
    place, mark, key = written.partition("#")
    fits = _PLACES[kind].fullmatch(place) is not None
    keyed = _KEY.fullmatch(key) is not None if mark else kind is not ProviderKind.VAULT
    return Reference(place, key) if fits and keyed else None
