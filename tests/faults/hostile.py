"""Runs on a booted host, by its own Python: an HTTP server on port 8080 that ill-treats whoever asks it for commits.

hostile.py flood|login|hang
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable

PORT = 8080
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n"
SERVICE = b"001e# service=git-upload-pack\n0000"


def flood(caller: socket.socket) -> None:
    """Branches without end."""
    caller.sendall(HEAD + SERVICE)
    for number in itertools.count():
        lines = (b"%040x refs/heads/x%d\n" % (n, n) for n in range(1000 * number, 1000 * number + 1000))
        caller.sendall(b"".join(b"%04x%b" % (len(line) + 4, line) for line in lines))


def login(caller: socket.socket) -> None:
    """The page that a hotel's network shows instead of everything."""
    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Please log in</html>")


def hang(_: socket.socket) -> None:
    time.sleep(3600)


TALKS = {talk.__name__: talk for talk in (flood, login, hang)}


def serve(talk: Callable[[socket.socket], None], caller: socket.socket) -> None:
    with contextlib.suppress(OSError), caller:
        caller.recv(65536)
        talk(caller)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        while True:
            threading.Thread(target=serve, args=(TALKS[sys.argv[1]], listener.accept()[0]), daemon=True).start()
