"""The webhook: a signed HTTP request of a forge starts a cycle now, before the clock would.

It is off by default, and a service of its own (hostwright-webhook.service), because the daemon has no network. The
content of a request is not used: it is hashed, and if the signature is right, the daemon is asked for one cycle,
however many requests come. A person with the secret can make a host look at its remote, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Final

from agent import control
from agent.domain.memory import Webhook
from agent.errors import HostwrightError, SettingsError
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.steps.webhook_service import read_secret
from agent.system.log import log_to_stderr

log = logging.getLogger("hostwright")

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a request; that of a forge for a push with twenty commits has some tens of thousands."""
DEADLINE_S: Final = 10.0
"""The time for one request, from the connection to the answer, however slowly it comes."""
CONCURRENT: Final = 8
RATE_PER_S, BURST = 5.0, 20.0
"""The rate of answers to requests without the secret: so many a second, and so many at once. Requests with the secret
have no limit, because many of them start one cycle."""
TOLD_EVERY_S: Final = 60.0
"""The time between two lines in the journal about requests that were refused: strangers must not fill it."""
PAUSE_S: Final = 5.0
"""The time between two requests to the daemon."""
TRIGGER_TIMEOUT_S: Final = 10.0
CHANGED_S: Final = 1.0
"""The time between two looks whether the settings of the webhook have changed."""


def signed(headers: Message, body: bytes, secret: bytes) -> bool:
    """True if the sender of ``body`` has the secret: X-Hub-Signature-256 (GitHub, Gitea, Forgejo) or X-Hub-Signature
    (Bitbucket) is its HMAC-SHA256, or X-Gitlab-Token is the secret itself. The time taken does not depend on the
    answer."""
    right = b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
    given = headers.get("X-Hub-Signature-256") or headers.get("X-Hub-Signature") or ""
    token = headers.get("X-Gitlab-Token") or ""
    by_signature = hmac.compare_digest(given.encode(), right)
    by_token = hmac.compare_digest(token.encode(), secret)
    return by_signature or by_token


class Allowance:
    """A token bucket: ``BURST`` requests at once, and ``RATE_PER_S`` a second in the long run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._at = BURST, clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = self._clock()
            self._left, self._at = min(BURST, self._left + (now - self._at) * RATE_PER_S), now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Bell:
    """A bell that asks for one cycle after any number of rings, at most one every ``pause_s`` seconds."""

    def __init__(self, trigger: Callable[[], object], pause_s: float = PAUSE_S) -> None:
        self._trigger, self._pause_s = trigger, pause_s
        self._rung = threading.Event()
        threading.Thread(target=self._answer, daemon=True).start()

    def ring(self) -> None:
        self._rung.set()

    def _answer(self) -> None:
        while True:
            self._rung.wait()
            self._rung.clear()
            try:
                self._trigger()
            except HostwrightError as error:
                log.warning("%s", error.message)  # no harm: a cycle comes by the clock anyway
            time.sleep(self._pause_s)


class Listener(ThreadingTCPServer):
    """A server at the address of ``webhook``. Raises OSError when that cannot be bound. It is no ``HTTPServer``, which
    would first ask the name servers for the name of this host."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, webhook: Webhook, bell: Bell) -> None:
        self.address_family = socket.AF_INET6 if ":" in webhook.host else socket.AF_INET
        self.webhook, self.bell, self.allowance = webhook, bell, Allowance()
        self._told_at = -TOLD_EVERY_S
        self._places = threading.BoundedSemaphore(CONCURRENT)
        super().__init__((webhook.host, webhook.port), _Request)
        self.timeout = CHANGED_S

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket)
        end = threading.Timer(DEADLINE_S, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def tell(self, what: str) -> None:
        """Log one line, unless another was logged less than ``TOLD_EVERY_S`` seconds ago."""
        if time.monotonic() - self._told_at >= TOLD_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("%s", what)

    def handle_error(self, *_: object) -> None:
        """Log an exception, unless it is a broken connection."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("a request could not be answered")


class _Request(BaseHTTPRequestHandler):
    server: Listener
    timeout = DEADLINE_S
    server_version, sys_version = "hostwright", ""

    def do_POST(self) -> None:
        code, word = self._judged()
        self.send_response(code, word)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _judged(self) -> tuple[int, str]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            return 411, "Length required"
        if len(length) > 10 or int(length) > BODY_LIMIT:
            return 413, "Too large"
        body = self.rfile.read(int(length))
        try:
            secret = read_secret(Path(self.server.webhook.secret_file))
        except SettingsError as error:
            self.server.tell(error.message)
            return 503, "No secret"
        if len(body) < int(length) or not signed(self.headers, body, secret):
            if not self.server.allowance.take():
                return 429, "Too many requests"
            self.server.tell(f"requests without the secret, such as from {self.client_address[0]}")
            return 401, "Not signed"
        self.server.bell.ring()
        return 202, "Accepted"

    def log_message(self, *_: object) -> None:
        """Log no requests."""


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve(paths: Paths) -> int:
    """Listen until fleet.yaml asks for no webhook; return 0. Raises SettingsError if the state cannot be read, OSError
    if the address cannot be bound."""
    log_to_stderr(logging.INFO)
    memory = Memory(paths)
    bell = Bell(lambda: control.trigger_cycle(paths.control, wait=False, timeout_s=TRIGGER_TIMEOUT_S))
    while (webhook := memory.state().fleet.webhook) is not None:
        with Listener(webhook, bell) as listener:
            log.info("listening on %s", webhook.listen)
            while memory.state().fleet.webhook == webhook:  # the file is read again only when it has changed
                listener.handle_request()
    return 0
