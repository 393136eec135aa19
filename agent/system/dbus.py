"""The failed units, asked of systemd on the system bus, without a process of `systemctl`.

Messages follow the D-Bus specification ("Authentication Protocol", "Message Protocol"); the method is described in
org.freedesktop.systemd1(5). Standard library only: the daemon uses it.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator

SOCKET = "/run/dbus/system_bus_socket"

_BUS = (b"org.freedesktop.DBus", b"/org/freedesktop/DBus", b"org.freedesktop.DBus")
_SYSTEMD = (b"org.freedesktop.systemd1", b"/org/freedesktop/systemd1", b"org.freedesktop.systemd1.Manager")
"""Destination, path and interface."""

_RETURN, _ERROR = 2, 3
"""Message types that answer a call."""
_ALIGNMENT = 8
"""Bytes: the alignment of the header's fields, of a body, and of each struct in it."""
_HELLO, _LISTING = 1, 2
"""Serials of our calls."""

_TALK_MOST = 16 * 1024 * 1024
"""Bytes that are read from the bus in all; a failed unit takes some 300."""
_MESSAGES_MOST = 64
"""Messages that are read for one answer. The bus itself sends one more: the name that it gave this connection."""
_LINE_MOST = 4096
_RECEIVED_MOST = 65536
"""Bytes at once."""


def failed_units(timeout_s: float) -> list[bytes] | None:
    """The names of the units that have failed; None if no bus or no systemd answered within ``timeout_s`` seconds, or
    if others sent so much to this connection that the answer was lost."""
    hello, listing = _call(_HELLO, _BUS, b"Hello"), _call(_LISTING, _SYSTEMD, b"ListUnitsFiltered", b"failed")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            talk = _Talk(connection, time.monotonic() + timeout_s)
            talk.send(b"\0AUTH EXTERNAL %s\r\n" % f"{os.geteuid()}".encode().hex().encode())
            if not talk.line().startswith(b"OK "):
                return None
            talk.send(b"BEGIN\r\n" + hello + listing)
            _answer(talk, _HELLO)
            return list(_names(*_answer(talk, _LISTING)))
    except (OSError, struct.error, MemoryError):
        return None


class _Talk:
    """A talk with the bus by ``connection``, until ``deadline`` (``time.monotonic()``). It is bounded, because any user
    of the host can have the bus send messages to it. Methods raise OSError if it takes too long, if too much comes, or
    if the bus hangs up."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._unread, self._received = bytearray(), 0
        self._in_time().connect(SOCKET)

    def send(self, text: bytes) -> None:
        self._in_time().sendall(text)

    def line(self) -> bytes:
        """The next line, with its end."""
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > _LINE_MOST:
                raise OSError("a line has no end")
            self._receive()
        return self.read(end + 1)

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > _TALK_MOST:
            raise OSError("a message is too large")
        while len(self._unread) < size:
            self._receive()
        text = bytes(self._unread[:size])
        del self._unread[:size]
        return text

    def _receive(self) -> None:
        received = self._in_time().recv(_RECEIVED_MOST)
        self._received += len(received)
        if not received or self._received > _TALK_MOST:
            raise OSError("the bus has hung up, or says too much")
        self._unread += received

    def _in_time(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection


def _call(serial: int, whom: tuple[bytes, bytes, bytes], member: bytes, *strings: bytes) -> bytes:
    """The message that calls the method ``member`` of ``whom``, with one list of ``strings``, or with nothing."""
    destination, path, interface = whom
    fields = b""
    for code, kind, value in ((1, b"o", path), (2, b"s", interface), (3, b"s", member), (6, b"s", destination)):
        fields = _padded(fields, _ALIGNMENT) + b"%c\1%s\0" % (code, kind) + _string(value)
    body = b""
    if strings:
        fields = _padded(fields, _ALIGNMENT) + b"\x08\1g\0\2as\0"
        for string in strings:
            body = _padded(body, 4) + _string(string)
        body = struct.pack("<I", len(body)) + body
    head = b"l\1\0\1" + struct.pack("<III", len(body), serial, len(fields))
    return _padded(head + fields, _ALIGNMENT) + body


def _answer(talk: _Talk, serial: int) -> tuple[str, bytes]:
    """The answer to the call ``serial``: its byte order as ``struct`` writes it, and its body. Raises OSError,
    struct.error."""
    for _ in range(_MESSAGES_MOST):
        head = talk.read(16)
        order = "<" if head[:1] == b"l" else ">"
        kind, size, length = struct.unpack(f"{order}xBxxIxxxxI", head)
        fields, body = talk.read(_aligned(length, _ALIGNMENT)), talk.read(size)
        if kind in {_RETURN, _ERROR} and _replies(order, fields, serial):
            if kind == _ERROR:
                raise OSError("a call was answered with an error")
            return order, body
    raise OSError("the bus says everything but the answer")


def _replies(order: str, fields: bytes, serial: int) -> bool:
    """True if a header's fields say that the message replies to the call ``serial``. A text in another field cannot
    feign that, because only zeros stand between its end and the next field."""
    wanted = b"\5\1u\0" + struct.pack(f"{order}I", serial)
    return any(fields.startswith(wanted, at) for at in range(0, len(fields), _ALIGNMENT))


def _names(order: str, body: bytes) -> Iterator[bytes]:
    """The first member of each struct (ssssssouso) in the list that ``body`` holds. Raises struct.error."""
    (size,) = struct.unpack_from(f"{order}I", body)
    at, end = _ALIGNMENT, _ALIGNMENT + size
    while at < end:
        at = _aligned(at, _ALIGNMENT)
        for number, kind in enumerate("ssssssouso"):
            at = _aligned(at, 4)
            (length,) = struct.unpack_from(f"{order}I", body, at)
            if number == 0:
                yield body[at + 4 : at + 4 + length]
            at += 4 if kind == "u" else 4 + length + 1


def _string(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text + b"\0"


def _padded(text: bytes, alignment: int) -> bytes:
    return text.ljust(_aligned(len(text), alignment), b"\0")


def _aligned(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment
