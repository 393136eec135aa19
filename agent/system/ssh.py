"""Host keys: the key that a server shows, compared with those in known_hosts, which ssh-keygen finds.

Certificate authorities (``@cert-authority``) can pin a server too, but the server is asked for its plain key and not
for a certificate: such a server's key is reported as unknown.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import paramiko

from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system.openssh import lines_about, server_name
from agent.system.public_keys import fingerprint
from agent.system.remote import SSH_PORT, Remote, Transport

_RSA: Final = "ssh-rsa"
_RSA_SIGNATURES: Final = ("rsa-sha2-512", "rsa-sha2-256")
"""The types by which a server is asked for its RSA key; the key's own type would mean a signature with SHA-1."""

_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False  # paramiko logs the tracebacks of errors that it raises too


class HostKeyStatus(StrEnum):
    MATCHES = "matches"
    UNKNOWN = "unknown"
    """known_hosts does not mention the server."""
    DIFFERS = "differs"
    """known_hosts has other keys for the server, or says that this one is revoked."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key. ``key``: base64, as in known_hosts."""

    type: str
    key: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint as ssh-keygen prints it: ``SHA256:…``."""
        return fingerprint(f"{self.type} {self.key}")


@dataclass(frozen=True, slots=True)
class Probe:
    """The key that a server showed, and those in known_hosts. ``name``: the server's name in known_hosts."""

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
    """True if this remote is reached by ssh. Raises SettingsError if ``url`` is no remote."""
    return Remote.parse(url).transport is Transport.SSH


def probe(url: str, known_hosts: Path, timeout_s: float) -> Probe:
    """The host key of the server of ``url``, compared with known_hosts. The server is first asked for the types that
    known_hosts has, as ssh does.

    Raises SourceError, kinds ``source-unreachable`` and ``timeout``; SettingsError if ``url`` is no remote.
    """
    remote = Remote.parse(url)
    name = server_name(remote)
    found = marked_keys(known_hosts, remote)
    known = tuple(key for marker, key in found if not marker)
    offered = _offered(remote, [key.type for key in known], timeout_s)
    return Probe(_status_of(offered, found), name, offered, known)


def marked_keys(known_hosts: Path, remote: Remote) -> tuple[tuple[str, HostKey], ...]:
    """The keys that known_hosts holds for the server of an ssh remote, each with its marker: empty, ``@revoked`` or
    ``@cert-authority``. Raises SourceError if ssh-keygen is missing."""
    lines = [line.split() for line in lines_about(remote, known_hosts)]
    marked = [(line.pop(0) if line[0].startswith("@") else "", line) for line in lines]
    return tuple((marker, HostKey(line[1], line[2])) for marker, line in marked)


def _status_of(shown: HostKey, marked: Collection[tuple[str, HostKey]]) -> HostKeyStatus:
    """The status of the key that a server showed, by the ``marked`` keys of known_hosts."""
    known = [key for marker, key in marked if not marker]
    if ("@revoked", shown) in marked or (known and shown not in known):
        return HostKeyStatus.DIFFERS
    return HostKeyStatus.MATCHES if known else HostKeyStatus.UNKNOWN


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
    """The policy that accepts a host if its key is in known_hosts, or has the ``fingerprint`` that a person knows.
    paramiko itself gets no keys, so that it asks this policy about each host.

    ``asked``: the host's name as the person writes it. ``name``: its name in known_hosts.
    """

    def __init__(self, asked: str, name: str, port: int, files: Iterable[Path], fingerprint: str | None) -> None:
        self._asked = asked
        self._fingerprint = fingerprint
        server = Remote("", Transport.SSH, name, port)
        self._marked = [found for path in files if path.is_file() for found in marked_keys(path, server)]

    def transport(self, sock: Any, **options: Any) -> paramiko.Transport:
        """A connection that first asks for the types of key that known_hosts has, as ssh does."""
        transport = paramiko.Transport(sock, **options)
        _prefer(transport, [key.type for marker, key in self._marked if not marker])
        return transport

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise SourceError if the key is not known, or is another than the known one or the fingerprint."""
        del client, hostname
        shown = HostKey(key.get_name(), key.get_base64())
        what = f"{self._asked} shows the {shown.type} key {shown.fingerprint}"
        wanted, status = self._fingerprint, _status_of(shown, self._marked)
        if status is HostKeyStatus.DIFFERS:
            raise SourceError(
                f"{what}; known_hosts says another",
                kind=ProblemKind.HOST_KEY_MISMATCH,
                hint="find out why; if it was installed anew: ssh-keygen -R, then compare the new fingerprint",
            )
        if wanted is not None and shown.fingerprint.removeprefix("SHA256:") != wanted.removeprefix("SHA256:"):
            raise SourceError(f"{what}, and not {wanted}", kind=ProblemKind.HOST_KEY_MISMATCH, hint="nothing was sent")
        if wanted is None and status is HostKeyStatus.UNKNOWN:
            raise SourceError(
                f"{what}; known_hosts does not mention it",
                kind=ProblemKind.HOST_KEY_UNKNOWN,
                hint="compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console; then log in"
                f" once by ssh, or say --fingerprint {shown.fingerprint}",
            )
