"""The checks of servers: HTTP, plain TCP, certificates. Each returns why it fails, else ``""``."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.checks.look import LOOKED_AT, beginning
from agent.system.http import Cutoff

if TYPE_CHECKING:
    from cryptography import x509

    from agent.checks.spec import CertificateCheck, HttpCheck, TcpCheck

_CHUNK = 64 * 1024
_SHOWN = 80
_NAMES_SHOWN = 5


def http(spec: HttpCheck) -> str:
    """Ask the server directly, without a proxy; follow no redirect."""
    parts = urlsplit(spec.http)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    wanted = (spec.status,) if isinstance(spec.status, int) else spec.status
    try:
        with _connected(host, port, spec.timeout) as plain, closing(client.HTTPConnection(host, port)) as connection:
            connection.sock = plain if parts.scheme == "http" else _secured(plain, host, spec)
            connection.request(spec.method, path, headers={"User-Agent": "hostwright", **spec.headers})
            answer = connection.getresponse()
            body = answer.read(LOOKED_AT)
    except TimeoutError:
        raise
    except (OSError, client.HTTPException) as error:
        return _said(error)
    if answer.status not in wanted:
        return f"{answer.status} {answer.reason}, wanted {' or '.join(map(str, wanted))}"
    if spec.contains is not None and spec.contains.encode() not in body:
        return f"the answer does not hold {spec.contains!r}"
    return ""


def tcp(spec: TcpCheck) -> str:
    host, port = _host_and_port(spec.tcp)
    wanted, said = (spec.contains or "").encode(), b""
    with _connected(host, port, spec.timeout) as connection:
        if spec.send is not None:
            connection.sendall(spec.send.encode())
        with suppress(TimeoutError):
            while wanted not in said and len(said) <= LOOKED_AT and (chunk := connection.recv(_CHUNK)):
                said += chunk
    if wanted not in said:
        first = said.decode(errors="replace").partition("\n")[0][:_SHOWN]
        return f"it does not say {spec.contains!r} but {first!r}"
    return ""


def certificate(spec: CertificateCheck) -> str:
    try:
        found = _certificate(spec)
    except ValueError:
        return "it is no certificate in PEM"
    until, now = found.not_valid_after_utc, datetime.now(UTC)
    if until < now:
        return f"it ended on {until:%Y-%m-%d}"
    if found.not_valid_before_utc > now:
        return f"it begins on {found.not_valid_before_utc:%Y-%m-%d}"
    if until < now + timedelta(days=spec.days):
        return f"it ends on {until:%Y-%m-%d}, in less than {spec.days} days"
    name = spec.host or ("" if spec.certificate.startswith("/") else _host_and_port(spec.certificate)[0])
    names = _names(found)
    if name and not any(_fits(name, each) for each in names):
        return f"it is not for {name} but for {', '.join(names[:_NAMES_SHOWN]) or 'nobody'}"
    return ""


def _certificate(spec: CertificateCheck) -> x509.Certificate:
    """The certificate, by any issuer: only ``http`` checks if its issuer is trusted. Raises ValueError for no PEM."""
    from cryptography import x509

    if spec.certificate.startswith("/"):
        return x509.load_pem_x509_certificate(beginning(spec.certificate))
    host, port = _host_and_port(spec.certificate)
    context = _context(None, insecure=True)
    with (
        _connected(host, port, spec.timeout) as plain,
        context.wrap_socket(plain, server_hostname=spec.host or host) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")


def _names(found: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _fits(name: str, pattern: str) -> bool:
    """True if the certificate's name ``pattern`` covers ``name``. A leading star stands for one label (RFC 6125)."""
    name, pattern = name.lower(), pattern.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return name == pattern


def _host_and_port(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of a validated ``host:port`` or ``[v6]:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@contextmanager
def _connected(host: str, port: int, timeout_s: float) -> Iterator[socket.socket]:
    """A connection that is shut down after ``timeout_s`` seconds: errors after that are raised as TimeoutError."""
    with Cutoff(time.monotonic() + timeout_s) as cutoff, socket.create_connection((host, port), timeout_s) as plain:
        cutoff.follow(plain)
        try:
            yield plain
        except (OSError, client.HTTPException) as error:
            if cutoff.ended:
                raise TimeoutError from error
            raise


def _secured(plain: socket.socket, host: str, spec: HttpCheck) -> ssl.SSLSocket:
    return _context(spec.ca, insecure=spec.insecure).wrap_socket(plain, server_hostname=host)


def _context(ca: str | None, *, insecure: bool) -> ssl.SSLContext:
    # The line end, because ssl takes the system's authorities if ``cadata`` is empty.
    authorities = f"{beginning(ca).decode('ascii', 'ignore')}\n" if ca is not None else None
    context = ssl.create_default_context(cadata=authorities)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
