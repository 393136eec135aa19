"""HTTP with two bounds that the standard library lacks: a deadline, and no redirect from https to http.

The environment names proxies (``https_proxy``, ``no_proxy``) and certificates (``SSL_CERT_FILE``), as for other
programs on a host.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from urllib import request
from urllib.parse import urlsplit

from agent import __version__
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind

MAX_REDIRECTS = 5

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer to ``ask``."""


def open_url(url: str, headers: Mapping[str, str], cutoff: Cutoff, stall_s: float) -> http.client.HTTPResponse:
    """The answer of the server, redirects followed. ``stall_s``: the longest time without a connection or a byte.

    Raises HTTPError for an answer that is no success, SourceError for a redirect from https to anything else, OSError
    and HTTPException for a broken connection.
    """
    wanted = request.Request(url, headers={"User-Agent": f"hostwright/{__version__}", **headers})  # noqa: S310
    handlers = request.ProxyHandler(), _Redirects(), request.HTTPDefaultErrorHandler(), request.HTTPErrorProcessor()
    response: http.client.HTTPResponse = _opener(cutoff, *handlers).open(wanted, timeout=stall_s)
    return response


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server. ``status``: its HTTP status, such as 200. ``body``: ANSWER_LIMIT bytes at most."""

    status: int
    body: bytes


def ask(
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    timeout_s: float,
    method: str | None = None,
    direct: bool = False,
) -> Answer:
    """The server's answer, of any status, to a request with credentials. Redirects are not followed, because the
    credentials are for this server alone.

    ``method``: None means POST with a ``body``, else GET. ``direct``: past any proxy, for addresses that only this
    machine reaches; requests to this machine itself never go through a proxy. Raises OSError and HTTPException for a
    broken connection, and OSError for a longer answer or after ``timeout_s`` seconds.
    """
    wanted = request.Request(url, body, {"User-Agent": f"hostwright/{__version__}", **headers}, method=method)  # noqa: S310
    with Cutoff(time.monotonic() + timeout_s) as cutoff:
        opener = _opener(cutoff, request.ProxyHandler({} if direct or is_local(url) else None))
        with opener.open(wanted, timeout=timeout_s) as response:
            found: bytes = response.read(ANSWER_LIMIT + 1)
            status: int = response.status
        if cutoff.ended:
            raise TimeoutError(f"no whole answer within {timeout_s:g} s")
    if len(found) > ANSWER_LIMIT:
        raise OSError(f"an answer of more than {ANSWER_LIMIT} bytes")
    return Answer(status, found)


def is_local(url: str) -> bool:
    """True if the server is this machine itself."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def shown(url: str) -> str:
    """``url`` without user, password, query and fragment: signed URLs have their secret in the query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Cutoff:
    """A timer that shuts down the sockets of one attempt at ``deadline`` (``time.monotonic()``): if a server sends a
    byte now and then, no read ever times out."""

    def __init__(self, deadline: float) -> None:
        self.ended = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._end)
        self._timer.daemon = True

    def follow(self, connected: socket.socket) -> None:
        self._sockets.append(connected.dup())

    def __enter__(self) -> Cutoff:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for followed in self._sockets:
            followed.close()

    def _end(self) -> None:
        self.ended = True
        for followed in self._sockets:
            with contextlib.suppress(OSError):
                followed.shutdown(socket.SHUT_RDWR)


class _Connection(http.client.HTTPConnection):
    cutoff: Cutoff | None = None

    def connect(self) -> None:
        super().connect()
        if self.cutoff is not None:
            self.cutoff.follow(self.sock)


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    """A connection with TLS. By the order of its bases the cutoff follows the bare socket before the TLS handshake."""


class _Handler(request.AbstractHTTPHandler):
    """The handler of http and https, over connections that ``cutoff`` follows."""

    http_request = https_request = request.AbstractHTTPHandler.do_request_

    def __init__(self, cutoff: Cutoff) -> None:
        super().__init__()
        self._cutoff = cutoff

    def http_open(self, req: request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_connection, _Connection, self._cutoff), req)

    def https_open(self, req: request.Request) -> http.client.HTTPResponse:
        connect = partial(_connection, _TlsConnection, self._cutoff)
        return self.do_open(connect, req, context=ssl.create_default_context())


def _connection(kind: type[_Connection], cutoff: Cutoff, host: str, **options: Any) -> _Connection:
    connection = kind(host, **options)
    connection.cutoff = cutoff
    return connection


class _Redirects(request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(  # noqa: PLR0917  # the library's signature
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> request.Request | None:
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("https", "http")
        if urlsplit(newurl).scheme not in allowed:
            raise SourceError(
                f"{shown(req.full_url)}: it redirects to {shown(newurl)}, which is not followed",
                kind=ProblemKind.DOWNLOAD_FAILED,
                consequence=Consequence.STALL,
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(cutoff: Cutoff, *handlers: request.BaseHandler) -> request.OpenerDirector:
    """An opener for http and https alone. The library's ``build_opener`` also follows redirects to file: and ftp:."""
    opener = request.OpenerDirector()
    for handler in (*handlers, _Handler(cutoff), request.UnknownHandler()):
        opener.add_handler(handler)
    return opener
