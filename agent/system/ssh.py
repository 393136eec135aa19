"""Host keys: what known_hosts says of a server, as ssh-keygen finds it there, and what the server itself says.

Keys of certificate authorities (``@cert-authority``) pin a server too, but which certificate a server would show is not
asked: such a server's plain key is reported as unknown.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import paramiko

from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system.known_hosts import lines_about, server_name
from agent.system.remote import SSH_PORT, Remote, Transport
from agent.system.sshsig import fingerprint

_RSA: Final = "ssh-rsa"
_RSA_SIGNATURES: Final = ("rsa-sha2-512", "rsa-sha2-256")
"""What a server is asked for to show its RSA key; the key's own type names the signature with SHA-1."""

_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False  # it logs tracebacks of what it also raises


class HostKeyStatus(StrEnum):
    MATCHES = "matches"
    UNKNOWN = "unknown"
    """known_hosts does not mention the server."""
    DIFFERS = "differs"
    """known_hosts has other keys for the server, or says that this one is revoked."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """``key`` is the public key as it stands in known_hosts, base64."""

    type: str
    key: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen prints it: ``SHA256:…``."""
        return fingerprint(f"{self.type} {self.key}")


@dataclass(frozen=True, slots=True)
class Probe:
    """The key that a server showed, and those in known_hosts. ``name`` is the server's name in known_hosts."""

    status: HostKeyStatus
    name: str
    offered: HostKey
    known: tuple[HostKey, ...]

    @property
    def message(self) -> str:
        shown = f"{self.name} shows the {self.offered.type} key {self.offered.fingerprint}"
        if self.status is HostKeyStatus.MATCHES:
            return f"{shown}, as known_hosts says"
        if self.status is HostKeyStatus.UNKNOWN:
            return f"{shown}; known_hosts does not mention it"
        others = ", ".join(f"{key.type} {key.fingerprint}" for key in self.known) or "that it is revoked"
        return f"{shown}; known_hosts says {others}"


def is_ssh(url: str) -> bool:
    """True if this remote is reached by ssh. Raises SettingsError when it cannot be a remote."""
    return Remote.parse(url).transport is Transport.SSH


def probe(url: str, known_hosts: Path, timeout_s: float) -> Probe:
    """Asks the server for its host key, preferring the types that are known, as ssh does.

    Raises SourceError, kinds ``source-unreachable`` and ``timeout``; SettingsError when ``url`` cannot be a remote.
    """
    remote = Remote.parse(url)
    name = server_name(remote)
    found = marked_keys(known_hosts, remote)
    known = tuple(key for marker, key in found if not marker)
    offered = _offered(remote, [key.type for key in known], timeout_s)
    if ("@revoked", offered) in found or (known and offered not in known):
        return Probe(HostKeyStatus.DIFFERS, name, offered, known)
    return Probe(HostKeyStatus.MATCHES if known else HostKeyStatus.UNKNOWN, name, offered, known)


def marked_keys(known_hosts: Path, remote: Remote) -> tuple[tuple[str, HostKey], ...]:
    """The keys that known_hosts holds for the server of an ssh remote, each with its marker: empty, ``@revoked`` or
    ``@cert-authority``. Raises SourceError where ssh-keygen cannot be run."""
    lines = [line.split() for line in lines_about(remote, known_hosts)]
    marked = [(line.pop(0) if line[0].startswith("@") else "", line) for line in lines]
    return tuple((marker, HostKey(line[1], line[2])) for marker, line in marked)


def _offered(remote: Remote, preferred: Iterable[str], timeout_s: float) -> HostKey:
    port, begun = remote.port or SSH_PORT, time.monotonic()
    try:
        with socket.create_connection((remote.host, port), timeout_s) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.banner_timeout = transport.handshake_timeout = timeout_s
                _prefer(transport, preferred)
                transport.start_client(timeout=timeout_s)
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        if time.monotonic() - begun >= timeout_s:
            raise _unreachable(remote, f"no answer within {timeout_s:g} s", ProblemKind.TIMEOUT) from error
        raise _unreachable(remote, f"{error}" or "it ended the connection", ProblemKind.SOURCE_UNREACHABLE) from error
    return HostKey(key.get_name(), key.get_base64())


def _prefer(transport: paramiko.Transport, types: Iterable[str]) -> None:
    """Ask the server for a host key of one of ``types``, if it has one."""
    options = transport.get_security_options()
    wanted = [name for kind in types for name in (_RSA_SIGNATURES if kind == _RSA else (kind,))]
    supported = tuple(options.key_types)
    options.key_types = tuple(dict.fromkeys((*(name for name in wanted if name in supported), *supported)))


def _unreachable(remote: Remote, why: str, kind: ProblemKind) -> SourceError:
    return SourceError(
        f"{remote}: {why}", kind=kind, hint="check that the Git server is up and can be reached from this host"
    )


class KnownKeys(paramiko.MissingHostKeyPolicy):
    """Lets a host in whose key is in known_hosts, or has the ``fingerprint`` that a person knows. paramiko
    itself is given no keys, so that it asks for each.

    ``asked``: what the person calls the host; ``name``: its name in known_hosts.
    """

    def __init__(self, asked: str, name: str, port: int, files: Iterable[Path], fingerprint: str | None) -> None:
        self._asked = asked
        self._fingerprint = fingerprint
        server = Remote("", Transport.SSH, name, port)
        self._marked = [found for path in files if path.is_file() for found in marked_keys(path, server)]

    def transport(self, sock: Any, **options: Any) -> paramiko.Transport:
        """A connection that asks for a key of a type that is known, as ssh does."""
        transport = paramiko.Transport(sock, **options)
        _prefer(transport, [key.type for marker, key in self._marked if not marker])
        return transport

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raises SourceError where the key is not known."""
        del client, hostname
        shown = HostKey(key.get_name(), key.get_base64())
        what = f"{self._asked} shows the {shown.type} key {shown.fingerprint}"
        wanted, known = self._fingerprint, [found for marker, found in self._marked if not marker]
        if ("@revoked", shown) in self._marked or (known and shown not in known):
            raise SourceError(
                f"{what}; known_hosts says another",
                kind=ProblemKind.HOST_KEY_MISMATCH,
                hint="find out why; if it was installed anew: ssh-keygen -R, then compare the new fingerprint",
            )
        if wanted is not None and shown.fingerprint.removeprefix("SHA256:") != wanted.removeprefix("SHA256:"):
            raise SourceError(f"{what}, and not {wanted}", kind=ProblemKind.HOST_KEY_MISMATCH, hint="nothing was sent")
        if wanted is None and not known:
            raise SourceError(
                f"{what}; known_hosts does not mention it",
                kind=ProblemKind.HOST_KEY_UNKNOWN,
                hint="compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console; then log in"
                f" once by ssh, or say --fingerprint {shown.fingerprint}",
            )
