"""A network of its own for hosts that must be cut off: a bridge in a namespace, one cable for each host.

    network = lab.network()
    url = f"http://{network.expose(port)}/config.git"     # a server that listens on 127.0.0.1 of this machine
    host = lab.boot("bookworm", network=network)
    network.cut(host.name)

Such hosts reach what is exposed and each other; they reach no registry.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import psutil

NAMESPACES = Path("/run/netns")
PREFIX = "hwlab"
SUBNET = "10.213.0"
"""Never seen outside of its namespace; at most 253 hosts."""

MEND_TIMEOUT_S = 60

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Network:
    def __init__(self, number: int) -> None:
        self.address = f"{SUBNET}.1"
        self._name = f"{PREFIX}-{os.getpid()}-{number}"
        self._numbers = itertools.count(2)
        self._cables: dict[str, str] = {}
        self._namespaces = [self._name]
        self._relays: list[Relay] = []
        _ip("netns", "add", self._name)
        self._inside(self._name, "link", "set", "lo", "up")
        self._inside(self._name, "link", "add", "bridge", "type", "bridge")
        self._inside(self._name, "addr", "add", f"{self.address}/24", "dev", "bridge")
        self._inside(self._name, "link", "set", "bridge", "up")

    def attach(self, host: str) -> list[str]:
        """Plugs in a host that is about to be made; what systemd-nspawn must be told for it."""
        number = next(self._numbers)
        namespace, cable = f"{self._name}-{number}", f"cable{number}"
        _ip("netns", "add", namespace)
        self._namespaces.append(namespace)
        self._inside(self._name, "link", "add", cable, "type", "veth", "peer", "name", "host0", "netns", namespace)
        self._inside(self._name, "link", "set", cable, "master", "bridge", "up")
        self._inside(namespace, "link", "set", "lo", "up")
        self._inside(namespace, "addr", "add", f"{SUBNET}.{number}/24", "dev", "host0")
        self._inside(namespace, "link", "set", "host0", "up")
        self._inside(namespace, "route", "add", "default", "via", self.address)
        self._cables[host] = cable
        return [f"--network-namespace-path={NAMESPACES / namespace}"]

    def cut(self, host: str) -> None:
        """Pulls the cable: what the host sends is lost, and nobody tells it."""
        self._inside(self._name, "link", "set", self._cables[host], "down")

    def mend(self, host: str) -> None:
        """Plugs it in again; done when the bridge has noticed, which takes the kernel up to a second."""
        cable = self._cables[host]
        self._inside(self._name, "link", "set", cable, "up")
        deadline = time.monotonic() + MEND_TIMEOUT_S
        while "state forwarding" not in self._inside(self._name, "-details", "link", "show", "dev", cable):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{cable} of {self._name} does not come up")
            time.sleep(0.02)

    def expose(self, port: int) -> str:
        """Makes 127.0.0.1:``port`` of this machine reachable for the hosts; the ``address:port`` that it has there."""
        self._relays.append(Relay(NAMESPACES / self._name, self.address, port, port))
        return f"{self.address}:{port}"

    def close(self) -> None:
        for relay in self._relays:
            relay.close()
        for namespace in reversed(self._namespaces):
            _ip("netns", "delete", namespace)

    @staticmethod
    def _inside(namespace: str, *argv: str) -> str:
        return _ip("-netns", namespace, *argv)


def clear_away() -> None:
    """Takes down networks whose test process was killed."""
    for path in NAMESPACES.glob(f"{PREFIX}-*") if NAMESPACES.is_dir() else ():
        if not psutil.pid_exists(int(path.name.split("-")[1])):
            _ip("netns", "delete", path.name)


class Relay(socketserver.ThreadingTCPServer):
    """Listens on ``address:at`` in a network namespace and passes all on to 127.0.0.1:``port`` of this machine."""

    daemon_threads = True

    def __init__(self, namespace: Path, address: str, port: int, at: int) -> None:
        super().__init__(("", 0), _Pump, bind_and_activate=False)
        self.socket.close()
        self.socket = _listening_inside(namespace, address, at)
        self.target = ("127.0.0.1", port)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Pump(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self.server.target) as inner:
            backwards = threading.Thread(target=_pump, args=(inner, self.request), daemon=True)
            backwards.start()
            _pump(self.request, inner)
            backwards.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _listening_inside(namespace: Path, address: str, port: int) -> socket.socket:
    """A socket stays in the namespace where it was made, so one thread goes there, makes it, and ends."""
    made: list[socket.socket] = []

    def make() -> None:
        with namespace.open("rb") as file:
            if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
                return
        made.append(socket.create_server((address, port), backlog=128))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(60)
    if not made:
        raise OSError(f"cannot listen on {address}:{port} in {namespace}")
    return made[0]


def _ip(*argv: str) -> str:
    command = ["ip", *argv]
    return subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=30
    ).stdout
