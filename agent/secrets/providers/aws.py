"""AWS Secrets Manager: GetSecretValue, signed by Signature Version 4, with the keys of the instance's role (IMDSv2).

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import configparser
import datetime
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.domain.provider import ARN, AWS_DOMAINS
from agent.secrets.providers.api import METADATA, ProviderError, Servers, credential, document, fits_header, text_at
from agent.system import mask

CREDENTIALS = "aws-credentials"
_SERVICE = "secretsmanager"
_TOKEN_LIFE_S = 60


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an AWS account or role. ``session``: the token that comes with a role's keys; None without one."""

    access: str
    secret: str = field(repr=False)
    session: str | None = field(default=None, repr=False)


class Aws:
    """AWS Secrets Manager. ``credentials``: the folder that may hold ``aws-credentials``, in the form of AWS's own
    file; without that file the keys of the instance's role are used."""

    def __init__(self, credentials: Path, metadata: str = METADATA) -> None:
        self._credentials = credentials
        self._metadata = metadata
        self._servers = Servers()

    def value(self, place: str, settings: Mapping[str, Any]) -> str:
        """The current version of the secret at ``place``, an ARN or a name. Raises ProviderError."""
        arn = ARN.fullmatch(place)
        region = arn["region"] if arn else f"{settings.get('region')}"
        partition = arn["partition"] if arn else "aws-cn" if region.startswith("cn-") else "aws"
        if (place.startswith("arn:") and not arn) or not ("endpoint" in settings or partition in AWS_DOMAINS):
            raise ProviderError(f"{place} is no ARN of a secret whose server is known")
        url = settings.get("endpoint") or f"https://{_SERVICE}.{region}.{AWS_DOMAINS[partition]}"
        body = json.dumps({"SecretId": place}).encode()
        headers = signed(url, body, region, self._keys, datetime.datetime.now(datetime.UTC))
        answer = self._servers.ask(url, headers, body)
        if answer.status == 400 and b"ResourceNotFoundException" in answer.body:
            raise ProviderError(f"{urlsplit(url).netloc} has nothing there")
        found = document(answer, urlsplit(url).netloc)
        if isinstance(found.get("SecretBinary"), str):
            return base64.b64decode(found["SecretBinary"]).decode(errors="surrogateescape")
        return text_at(found, "SecretString", who=urlsplit(url).netloc)

    @cached_property
    def _keys(self) -> Keys:
        keys = self._own() or self._role()
        mask.remember_all(each for each in (keys.secret, keys.session) if each)
        return keys

    def _own(self) -> Keys | None:
        path = self._credentials / CREDENTIALS
        if (text := credential(path)) is None:
            return None
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        try:
            parser.read_string(text)
            own = parser["default"]
            keys = Keys(own["aws_access_key_id"], own["aws_secret_access_key"], own.get("aws_session_token"))
            if fits_header(keys.access) and fits_header(keys.session or ""):
                return keys
            raise KeyError
        except (configparser.Error, KeyError):
            raise ProviderError(
                f"{path} is no file of credentials: write [default], aws_access_key_id and aws_secret_access_key"
            ) from None

    def _role(self) -> Keys:
        life = {"X-aws-ec2-metadata-token-ttl-seconds": f"{_TOKEN_LIFE_S}"}
        token = self._servers.ask(f"{self._metadata}/latest/api/token", life, method="PUT", direct=True)
        headers = {"X-aws-ec2-metadata-token": token.body.decode("latin-1").strip()}
        roles = f"{self._metadata}/latest/meta-data/iam/security-credentials/"
        role = self._servers.ask(roles, headers, direct=True)
        name = role.body.decode("latin-1").partition("\n")[0].strip()
        if role.status != 200 or not name.replace("-", "").replace("_", "").isalnum():
            raise ProviderError(f"this host has no role in AWS, and no {self._credentials / CREDENTIALS}")
        who = "the metadata of this instance"
        found = document(self._servers.ask(f"{roles}{name}", headers, direct=True), who)
        names = "AccessKeyId", "SecretAccessKey", "Token"
        return Keys(*(text_at(found, each, who=who) for each in names))


def signed(url: str, body: bytes, region: str, keys: Keys, now: datetime.datetime) -> dict[str, str]:
    """The headers of a GetSecretValue request, signed with ``keys``. ``now``: in UTC."""
    moment = f"{now:%Y%m%dT%H%M%SZ}"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": moment,
        **({"x-amz-security-token": keys.session} if keys.session else {}),
        "x-amz-target": f"{_SERVICE}.GetSecretValue",
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    wanted = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, wanted.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": proof}
