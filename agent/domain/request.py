"""A host's request to be admitted, as a value: its path on the status branch, its content, and the proofs of its
sender."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from agent.domain import codec
from agent.domain.layout import HOST_NAME
from agent.domain.report import HostName, Instant, ValueLimits
from agent.domain.status import report_path

REQUESTS = "requests"
"""The folder of the branch that holds all requests."""
REQUEST_NAMESPACE = "hostwright-request"
"""The namespace of a request's signatures: they count for requests alone."""
REQUEST_LIMIT = 8 * 1024
"""Bytes of one request; a full one has about 1,100."""

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request. ``ssh`` and ``age``: the public keys, without comments. ``seal``: the proof of the keys by the
    one-time code; empty without a code. ``voucher``: the signature of the keys by the key that was admitted before;
    empty without one."""

    host: HostName
    inventory: Annotated[str, ValueLimits(max_length=255)]
    agent_version: Annotated[str, ValueLimits(max_length=64)]
    at: Instant
    ssh: Annotated[str, ValueLimits(pattern=r"^ssh-ed25519 [A-Za-z0-9+/=]{68}$")]
    age: Annotated[str, ValueLimits(pattern=r"^age1[0-9a-z]{1,80}$")]
    fingerprint: Annotated[str, ValueLimits(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
    seal: Annotated[str, ValueLimits(pattern=r"^([0-9a-f]{64})?$")] = ""
    voucher: Annotated[str, ValueLimits(max_length=1024)] = ""

    @property
    def claim(self) -> bytes:
        """The bytes that ``seal`` and ``voucher`` are made over."""
        return "\0".join(("hostwright-request-1", self.inventory, self.host, self.ssh, self.age)).encode()

    @property
    def lines(self) -> bytes:
        """The content of ``identities/<host>.pub`` that admits the host."""
        return f"{self.ssh} {self.host}\n{self.age}\n".encode()


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it is sent. ``signature``: an armoured SSHSIG over the bytes of ``document``."""

    document: bytes
    signature: bytes


def encode(request: Request) -> bytes:
    return codec.encode(request, indent=2)


def request_path(host: str, ssh: str = "") -> str:
    """The path of ``host``'s request. With ``ssh``, its public key, the path to use where the request of another
    machine with the same name lies at the first path."""
    path = report_path(host).partition("/")[2].removesuffix(_SUFFIX)
    return f"{REQUESTS}/{path}{f'+{hashlib.sha256(ssh.encode()).hexdigest()[:16]}' if ssh else ''}{_SUFFIX}"


def request_folder(host: str) -> str:
    """The folder with all requests for the name ``host``, among requests for other names."""
    return request_path(host).rpartition("/")[0]


def requested_host(path: str) -> str | None:
    """The host whose request may lie at ``path``; None for a path of no request."""
    folder, _, name = path.rpartition("/")
    host = re.sub(r"(\+[0-9a-f]{16})?\.json$", "", name)
    return host if name != host and HOST_NAME.fullmatch(host) and request_folder(host) == folder else None


def admitting_anew(host: str, fingerprint: str) -> str:
    """The commands that admit a machine which was installed anew: they revoke the old key of its name first."""
    admit = f"hostwright admit {host} --fingerprint {fingerprint} --commit"
    return f"hostwright identity revoke {host} --commit && {admit}"
