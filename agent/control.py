"""The control socket: a command on the host asks the daemon for a cycle. One JSON line each way.

``{"command": "trigger", "wait": true}`` → ``{"ok": true, "exit": 0}``. With ``wait`` the answer comes after the cycle.
Only root and the daemon's own user may ask: the socket has mode 0600, and the kernel tells the caller's uid.
Standard library only: it is part of the daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import SettingsError
from agent.problems import ProblemKind

LINE_LIMIT = 4096
"""Bytes of a request or an answer."""

PEER_TIMEOUT_S = 2.0
"""The time for a caller to send its request: a silent one must not block the daemon."""

_UCRED = struct.Struct("3i")


class Caller(NamedTuple):
    """A program that asked for a cycle. ``wait``: True if it waits for the end of the cycle."""

    connection: socket.socket
    wait: bool

    def answer(self, reply: dict[str, Any]) -> None:
        """Send ``reply`` and hang up. Ignore a caller that has gone."""
        with contextlib.suppress(OSError), self.connection:
            self.connection.sendall(json.dumps(reply).encode() + b"\n")


class ControlSocket:
    """The daemon's end of the socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        old_mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(old_mask)
        self._socket.listen(8)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> Caller | None:
        """The next caller with a valid request; None if nobody called, or the caller was refused."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return None
        connection.settimeout(PEER_TIMEOUT_S)
        caller = Caller(connection, wait=False)
        try:
            if _peer_uid(connection) not in (0, os.getuid()):
                caller.answer({"ok": False, "error": "only root may ask the daemon"})
                return None
            request = json.loads(_line(connection, PEER_TIMEOUT_S))
        except (OSError, ValueError):
            connection.close()
            return None
        if not isinstance(request, dict) or request.get("command") != "trigger":
            caller.answer({"ok": False, "error": "the only command is trigger"})
            return None
        return caller._replace(wait=request.get("wait") is True)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def trigger_cycle(path: Path, *, wait: bool, timeout_s: float) -> dict[str, Any]:
    """Ask the daemon at ``path`` for a cycle and return its answer. Raises SettingsError if none comes in time."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps({"command": "trigger", "wait": wait}).encode() + b"\n")
            answer = json.loads(_line(connection, timeout_s))
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"no daemon answers on {path}: {getattr(error, 'strerror', None) or error}",
                kind=ProblemKind.NO_DAEMON,
                hint="is it running (`systemctl status hostwright`)? without it, `hostwright apply` runs a cycle here",
            ) from error
    if not isinstance(answer, dict):
        raise SettingsError(f"the daemon on {path} gave an answer that is not an object", kind=ProblemKind.NO_DAEMON)
    return answer


def _line(connection: socket.socket, timeout_s: float) -> bytes:
    """The bytes up to the end of the first line, or of the connection. Raises TimeoutError after ``timeout_s``,
    OSError."""
    deadline = time.monotonic() + timeout_s
    data = b""
    while b"\n" not in data and len(data) < LINE_LIMIT:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the other end takes too long")
        connection.settimeout(remaining_s)
        chunk = connection.recv(LINE_LIMIT - len(data))
        if not chunk:
            break
        data += chunk
    return data


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return int(uid)
