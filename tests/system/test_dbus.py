"""A bus that does not answer as a bus does. What a real one says: tests/deploys/services/test_on_host.py."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.system import dbus

TIMEOUT_S = 10


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(dbus, "SOCKET", f"{tmp_path / 'bus'}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(TIMEOUT_S)
        listener.bind(dbus.SOCKET)
        listener.listen()
        yield listener


class Bus(threading.Thread):
    """Says ``words`` to the first who connects, one after the other; ``said``: whether all of them."""

    def __init__(self, listener: socket.socket, words: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._listener, self._words, self.said = listener, words, False
        self.start()

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):  # the other end hangs up
            connection.settimeout(TIMEOUT_S)
            connection.recv(4096)
            for words in self._words:
                connection.sendall(words)
            self.said = True
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def message(kind: int, replies_to: int, body: bytes = b"", order: str = "<") -> bytes:
    about = b"\5\1u\0" + struct.pack(f"{order}I", replies_to) + b"\x08\1g\0\0\0\0\0"
    head = (b"l" if order == "<" else b"B") + bytes([kind, 0, 1])
    return head + struct.pack(f"{order}III", len(body), 9, len(about)) + about + body


def listing(name: bytes, order: str = "<") -> bytes:
    """A list of one unit, whose other texts are empty."""
    texts = [name, *([b""] * 6)]
    unit = b""
    for text in (*texts, None, b"", b""):
        unit += b"\0" * (-len(unit) % 4)
        unit += struct.pack(f"{order}I", 7) if text is None else struct.pack(f"{order}I", len(text)) + text + b"\0"
    return struct.pack(f"{order}I4x", len(unit)) + unit


GREETING, SIGNAL, RETURN, ERROR = b"OK 1234\r\n", 4, 2, 3
HELLO = message(RETURN, 1)
ANSWER = message(RETURN, 2, listing(b"a.service"))


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"REJECTED EXTERNAL\r\n",
        GREETING,
        GREETING + b"no message of D-Bus at all",
        GREETING + message(ERROR, 1),
        GREETING + HELLO + message(ERROR, 2),
        GREETING + HELLO + message(RETURN, 2),
        b"OK " + b"1" * 100_000 + b"\r\n" + HELLO + ANSWER,
        GREETING + HELLO + 1000 * message(SIGNAL, 0) + ANSWER,
        GREETING + HELLO + message(RETURN, 2, listing(b"a.service") + bytes(17 * 1024 * 1024)),
        GREETING + HELLO + 17 * message(SIGNAL, 0, bytes(1024 * 1024)) + ANSWER,
    ],
    ids=[
        *("nothing", "refused", "no-answer", "no-message", "error-for-hello", "error", "empty"),
        *("endless-line", "many-signals", "too-large", "too-much"),
    ],
)
def test_a_bus_that_says_something_else_says_nothing_of_units(listener: socket.socket, words: bytes) -> None:
    bus = Bus(listener, [words])
    assert dbus.failed_units(TIMEOUT_S) is None
    bus.join(TIMEOUT_S)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_what_others_send_is_no_answer(listener: socket.socket, order: str) -> None:
    others = message(SIGNAL, 0, b"text") + message(ERROR, 7) + message(RETURN, 7, listing(b"other.service"))
    answer = message(RETURN, 2, listing(b"a.service", order), order)
    bus = Bus(listener, [GREETING + others + message(RETURN, 1, b"", order) + others + answer])
    assert dbus.failed_units(TIMEOUT_S) == [b"a.service"]
    bus.join(TIMEOUT_S)


def test_a_bus_that_says_a_little_now_and_then_is_given_up_in_time(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second whenever it is asked."""
    monkeypatch.setattr(dbus, "time", SimpleNamespace(monotonic=count().__next__))
    slow = message(SIGNAL, 0, bytes(10_000_000))
    bus = Bus(listener, [GREETING, HELLO, *(slow[at : at + 10_000] for at in range(0, len(slow), 10_000))])
    assert dbus.failed_units(TIMEOUT_S) is None
    bus.join(TIMEOUT_S)
    assert not bus.said


def test_a_host_out_of_memory_says_nothing_of_units(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def recv(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(socket.socket, "recv", recv, raising=False)
    monkeypatch.setattr(socket.socket, "recv_into", recv, raising=False)
    assert dbus.failed_units(TIMEOUT_S) is None


def test_a_bus_that_never_answers_is_given_up(listener: socket.socket) -> None:
    assert dbus.failed_units(0.05) is None


def test_a_host_without_a_bus_says_nothing_of_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "SOCKET", f"{tmp_path / 'none'}")
    assert dbus.failed_units(TIMEOUT_S) is None
