"""A web server for downloads that behaves as well, or as badly, as a test wants."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(slots=True)
class FileServer:
    """``files`` by path. ``requests`` are those that came: path and Range header, empty without one.

    ``cuts``: after how many bytes the next answers break off. ``statuses``: what the next answers are instead.
    ``redirects``: where paths lead. ``pause_s``: before every 1 KiB. ``headers``: said with every file.
    ``total``: what parts are said to be parts of, where that is not the truth.
    """

    scheme: str = "http"
    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    total: str = ""
    pause_s: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def file_server(certificate: Path | None = None) -> Iterator[FileServer]:
    """With a ``certificate`` (PEM, its key in it) over TLS."""
    served = FileServer(scheme="https" if certificate else "http")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            served.requests.append((self.path, wanted))
            if served.statuses:
                self.answer(served.statuses.pop(0))
            elif self.path in served.redirects:
                self.answer(302, {"Location": served.redirects[self.path]})
            elif self.path not in served.files:
                self.answer(404)
            else:
                self.send(served.files[self.path], wanted)

        def send(self, content: bytes, wanted: str) -> None:
            whole = len(content)
            headers = dict(served.headers)
            status = 200
            if wanted and served.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= whole:
                    self.answer(416)
                    return
                status, content = 206, content[start:]
                headers["Content-Range"] = f"bytes {start}-{whole - 1}/{served.total or whole}"
            self.answer(status, headers, len(content) if served.length else None)
            end = served.cuts.pop(0) if served.cuts else len(content)
            for position in range(0, end, 1024):
                if served.stopped.wait(served.pause_s) if served.pause_s else False:
                    return
                self.wfile.write(content[position : min(end, position + 1024)])

        def answer(self, status: int, headers: dict[str, str] | None = None, length: int | None = 0) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", f"{length}")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # the other side had enough
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_port
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stopped.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def self_signed(path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + certificate.public_bytes(pem))
    return path
