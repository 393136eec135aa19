"""What a webhook answers, through real sockets: it asks for one thing, when it is signed, and is not kept busy."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent import webhook
from agent.domain import codec
from agent.domain.memory import FleetSettings, Webhook
from agent.errors import SettingsError
from agent.steps.webhook_service import read_secret
from agent.webhook import BODY_LIMIT, BURST, CONCURRENT, Allowance, Bell, Listener

SECRET = "5ae11f6a5ae11f6a5ae11f6a"
BODY = b'{"ref": "refs/heads/main"}'
PATIENCE_S = 30.0


def signature(body: bytes = BODY, secret: str = SECRET) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@dataclass
class Served:
    """A webhook, and how often it asked for a cycle."""

    secret: Path
    asked: list[float] = field(default_factory=list)
    port: int = 0

    def post(self, body: bytes = BODY, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", "/anything", body, sent)
            return connection.getresponse().status
        finally:
            connection.close()

    def post_if_heard(self) -> int:
        """0 where there is no place for another."""
        try:
            return self.post(X_Hub_Signature_256=signature())
        except (OSError, http.client.HTTPException):
            return 0

    def waits_for(self, number: int) -> bool:
        end = time.monotonic() + PATIENCE_S
        while len(self.asked) < number and time.monotonic() < end:
            time.sleep(0.01)
        return len(self.asked) == number


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for a request."""
    monkeypatch.setattr(webhook, "DEADLINE_S", 0.5)
    monkeypatch.setattr(webhook._Request, "timeout", 0.5)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Asks for one cycle and no more, and takes ``BURST`` requests without the secret."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    hook = Served(secret)
    bell = Bell(lambda: hook.asked.append(time.monotonic()), pause_s=600)
    with Listener(Webhook("127.0.0.1", 0, f"{secret}"), bell) as listener:
        hook.port = listener.server_address[1]
        listener.allowance = Allowance(lambda: 0.0)
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield hook
        listener.shutdown()


@pytest.mark.parametrize(
    "headers",
    [{"X_Hub_Signature_256": signature()}, {"X_Hub_Signature": signature()}, {"X_Gitlab_Token": SECRET}],
    ids=["GitHub, Gitea, Forgejo", "Bitbucket", "GitLab"],
)
def test_who_has_the_secret_asks_for_a_cycle(served: Served, headers: dict[str, str]) -> None:
    assert served.post(**headers) == 202
    assert served.waits_for(1)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Hub_Signature_256": ""},
        {"X_Hub_Signature_256": signature(secret="another secret that is long")},
        {"X_Hub_Signature_256": signature(b"another body")},
        {"X_Hub_Signature_256": signature().removeprefix("sha256=")},
        {"X_Hub_Signature": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()},
        {"X_Hub_Signature_256": "sha256=\xe4\xf6\xfc"},
        {"X_Gitlab_Token": SECRET[:-1]},
    ],
    ids=["none", "empty", "other secret", "other body", "bare", "sha1", "not ASCII", "other token"],
)
def test_who_does_not_have_it_asks_for_nothing(served: Served, headers: dict[str, str]) -> None:
    assert served.post(**headers) == 401
    time.sleep(0.05)
    assert served.asked == []


def test_many_who_ask_at_once_are_one(served: Served) -> None:
    for _ in range(10):
        assert served.post(X_Hub_Signature_256=signature()) == 202
    assert served.waits_for(1)


def test_any_number_of_rings_while_a_cycle_is_asked_for_ask_for_one_more() -> None:
    asked, asking, answered = [], threading.Event(), threading.Event()

    def ask() -> None:
        asked.append(1)
        asking.set()
        assert answered.wait(PATIENCE_S)

    bell = Bell(ask, pause_s=0)
    bell.ring()
    assert asking.wait(PATIENCE_S)
    for _ in range(10):
        bell.ring()
    answered.set()
    end = time.monotonic() + PATIENCE_S
    while len(asked) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(asked) == 2


def test_what_is_too_large_is_not_read(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1))
        assert b" 413 " in connection.recv(200)


@pytest.mark.parametrize("length", ["-1", "many", "1e3", "", "9" * 50])
def test_a_length_that_is_none_is_refused(served: Served, length: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % length.encode())
        assert connection.recv(200).split()[1] in (b"411", b"413")


def test_what_is_not_posted_asks_for_nothing(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
    connection.request("GET", "/", headers={"X-Hub-Signature-256": signature(b"")})
    assert connection.getresponse().status == 501
    connection.close()
    assert served.asked == []


SENT_MOST = 600


def _sent_before_it_hung_up(connection: socket.socket) -> int:
    """How many headers, ten a second, for a minute at most."""
    for number in range(SENT_MOST):
        try:
            connection.sendall(b"X-More: and more\r\n")
        except OSError:
            return number
        time.sleep(0.1)
    return SENT_MOST


@pytest.mark.usefixtures("hasty")
def test_whoever_trickles_is_hung_up_on(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n")
        assert _sent_before_it_hung_up(connection) < SENT_MOST


@pytest.mark.usefixtures("hasty")
def test_those_who_say_nothing_keep_others_out_for_a_moment_only(served: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) for _ in range(CONCURRENT)]
    end = time.monotonic() + PATIENCE_S
    while (code := served.post_if_heard()) != 202:
        assert (code, time.monotonic() < end) == (0, True)
        time.sleep(0.05)
    for connection in idle:
        connection.close()


def test_more_than_any_forge_asks_is_put_off(served: Served) -> None:
    answers = [served.post() for _ in range(int(BURST) + 1)]
    assert answers == [401] * int(BURST) + [429]


def test_an_allowance_comes_back_with_time() -> None:
    now = 0.0
    allowance = Allowance(lambda: now)
    assert [allowance.take() for _ in range(int(BURST) + 1)] == [True] * int(BURST) + [False]
    now = 1.0
    assert allowance.take()


def test_strangers_who_ask_too_much_do_not_keep_the_forge_out(served: Served) -> None:
    assert [served.post() for _ in range(int(BURST) + 1)][-1] == 429
    assert served.post(X_Hub_Signature_256=signature()) == 202


def test_strangers_do_not_write_the_journal(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        served.post()
    assert len(caplog.messages) == 1


def test_a_secret_that_was_changed_counts_at_once(served: Served) -> None:
    served.secret.write_text("another secret that is long")
    assert served.post(X_Hub_Signature_256=signature()) == 401
    assert served.post(X_Hub_Signature_256=signature(secret="another secret that is long")) == 202


@pytest.mark.parametrize(("mode", "text"), [(0o644, SECRET), (0o600, "short"), (0o600, "")])
def test_a_secret_that_is_none_lets_nobody_in(served: Served, mode: int, text: str) -> None:
    served.secret.write_text(text)
    served.secret.chmod(mode)
    assert served.post(X_Hub_Signature_256=signature(secret=text), X_Gitlab_Token=text) == 503


def test_a_secret_that_is_missing_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_secret(tmp_path / "none")
    assert "openssl rand" in refused.value.hint


def test_where_it_listens_outlives_the_commit() -> None:
    settings = FleetSettings(webhook=Webhook("::1", 9443, "/etc/s"))
    read = codec.decode(codec.encode(settings), FleetSettings)
    assert read == settings
    assert read.webhook is not None
    assert read.webhook.listen == "[::1]:9443"
