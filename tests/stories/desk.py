"""The way from a person's ssh to a booted host, which nobody else reaches."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.host import Host

_RELAY = """
import socket, sys, threading
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def out():
    while d := s.recv(65536):
        sys.stdout.buffer.write(d); sys.stdout.buffer.flush()
threading.Thread(target=out, daemon=True).start()
while d := sys.stdin.buffer.read1(65536):
    s.sendall(d)
"""
"""From this machine into the network of a host."""

SSH_PORT = 22


def let_in(host: Host, home: Path, key: Path, *users: str, port: int = SSH_PORT) -> None:
    """Let the person whose ssh files are in ``home`` log in to the host by its name as these users, with their
    ``key``. The host's sshd listens on ``port``."""
    (home / ".ssh").mkdir(exist_ok=True)
    (home / "relay.py").write_text(_RELAY)
    host.write("/etc/ssh/sshd_config.d/port.conf", f"Port {port}\n")
    host.run("ssh-keygen -A; systemctl start ssh")
    for user in users:
        folder = "/root/.ssh" if user == "root" else f"/home/{user}/.ssh"
        host.run(f"mkdir -p -m 700 {folder}")
        host.write(f"{folder}/authorized_keys", key.with_suffix(".pub").read_text(), mode=0o600)
        host.run(f"chown -R {user}: {folder}")
    with (home / ".ssh/known_hosts").open("a") as known:
        known.write(f"{host.name} {host.read('/etc/ssh/ssh_host_ed25519_key.pub')}")
    relay = f"nsenter -t {host.pid} --net {sys.executable} {home}/relay.py {port}"
    with (home / ".ssh/config").open("a") as config:
        config.write(f"Host {host.name}\n  ProxyCommand {relay}\n  IdentityFile {key}\n  User root\n")
