"""A bus that does not answer as a bus does. What a real one says: tests/deploys/services/test_on_host.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"REJECTED EXTERNAL\r\n",
        b"OK 1234\r\n",
        b"OK 1234\r\nno message of D-Bus at all",
        b"OK 1234\r\nl\3\1\1\0\0\0\0\1\0\0\0\0\0\0\0",
        b"OK 1234\r\n" + 2 * b"l\2\1\1\0\0\0\0\1\0\0\0\0\0\0\0",
    ],
    ids=["nothing", "refused", "no-answer", "no-message", "error", "empty"],
)
def test_a_bus_that_says_something_else_says_nothing_of_units(listener: socket.socket, words: bytes) -> None:
    def say() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the other end hangs up
            connection.settimeout(TIMEOUT_S)
            connection.recv(4096)
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    bus = threading.Thread(target=say, daemon=True)
    bus.start()
    assert dbus.failed_units(TIMEOUT_S) is None
    bus.join(TIMEOUT_S)


def test_a_bus_that_never_answers_is_given_up(listener: socket.socket) -> None:
    assert dbus.failed_units(0.05) is None


def test_a_host_without_a_bus_says_nothing_of_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "SOCKET", f"{tmp_path / 'none'}")
    assert dbus.failed_units(TIMEOUT_S) is None
