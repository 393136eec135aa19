"""``python -m tests.system.said_by_git`` has real servers on loopback refuse git, and keeps what git and ssh said.

A file beside this one holds a command, an exit status, then stderr as it came, but for ports and folders, which differ
each time. Run it as root: a full disk is a small tmpfs."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from agent.system.git_command import Access, network_environment
from agent.system.process import run
from agent.system.remote import Remote
from tests.gitserver import (
    ConfigRepo,
    SshServer,
    answering_server,
    author,
    damaging_proxy,
    endless_refs,
    free_port,
    hostile_server,
    http_server,
    silent_server,
    ssh_server,
)

HERE = Path(__file__).parent
SHOWN_PORT = "2222"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Desk:
    folder: Path
    access: Access

    def keep(
        self,
        name: str,
        url: str,
        *what: str,
        port: int = 0,
        access: Access | None = None,
        prefix: Sequence[str] = (),
        memory_limit: int | None = None,
    ) -> None:
        """Runs ``git ls-remote``, or a fetch of ``what``, as the agent does."""
        bare = self.folder / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", f"{bare}"], check=True)
        remote = Remote.parse(url)
        fetch = [f"--git-dir={bare}", "fetch", "--quiet", "--", remote.url, *what]
        asked = fetch if what else ["ls-remote", "--", remote.url]
        environment = network_environment(access or self.access, remote)
        done = run([*prefix, "git", *asked], timeout_s=60, env=environment, cwd=Path("/"), memory_limit=memory_limit)
        told = f"$ git {' '.join(asked)}\nexit {done.code}\n--- stderr\n{done.error.decode(errors='replace')}"
        told = told.replace(f"{self.folder}", "/srv")
        (HERE / f"{name}.txt").write_text(told.replace(f"{port}", SHOWN_PORT) if port else told)


def over_ssh(desk: Desk, server: SshServer, repo: ConfigRepo) -> None:
    url, port = server.url(repo.path), server.port
    desk.keep("ssh-no-repository", server.url(desk.folder / "none.git"), port=port)
    known, keys = server.known_hosts.read_text(), server.authorized_keys.read_text()
    server.authorized_keys.write_text("")
    desk.keep("ssh-no-key", url, port=port)
    server.authorized_keys.write_text(keys)
    server.known_hosts.write_text("")
    desk.keep("ssh-host-key-unknown", url, port=port)
    server.known_hosts.write_text(server.known_as(author(desk.folder, "other").key))
    desk.keep("ssh-host-key-changed", url, port=port)
    server.known_hosts.write_text(known)
    desk.keep("ssh-no-such-host", "ssh://git.invalid/config.git")
    refusing = free_port()
    desk.keep("ssh-refused", f"ssh://127.0.0.1:{refusing}/config.git", port=refusing)
    with answering_server(b"") as closing:
        desk.keep("ssh-closed", f"ssh://127.0.0.1:{closing}/config.git", port=closing)
    with silent_server() as silent:
        hasty = replace(desk.access, timeout_s=2)
        desk.keep("ssh-silent", f"ssh://127.0.0.1:{silent}/config.git", port=silent, access=hasty)


def over_http(desk: Desk, repo: ConfigRepo) -> None:
    repo.bare(desk.folder / "served/config.git")
    with http_server(desk.folder / "served") as server:
        desk.keep("http-no-repository", server.url("none.git"), port=server.port)
        with damaging_proxy(server.port, at=MIB // 2) as port:
            desk.keep("http-damaged", f"http://127.0.0.1:{port}/config.git", "main", port=port)
    with http_server(desk.folder / "served", password="ann:word") as server:
        desk.keep("http-no-password", server.url("config.git"), port=server.port)
        desk.keep("http-wrong-password", server.url("config.git", "ann:wrong"), port=server.port)
    for code, more in ((403, ""), (503, ""), (301, "Location: http://127.0.0.1:9/other.git/info/refs\r\n")):
        answer = f"HTTP/1.0 {code} x\r\n{more}Content-Length: 0\r\n\r\n".encode()
        with answering_server(answer) as port:
            desk.keep(f"http-{code}", f"http://127.0.0.1:{port}/config.git", port=port)
    with answering_server(b"garbage\r\n\r\n") as port:
        desk.keep("http-garbage", f"http://127.0.0.1:{port}/config.git", port=port)
    with answering_server(b"") as port:
        desk.keep("http-empty", f"http://127.0.0.1:{port}/config.git", port=port)
    with hostile_server(endless_refs) as port:
        desk.keep("http-endless", f"http://127.0.0.1:{port}/config.git", port=port, memory_limit=64 * MIB)
    desk.keep("http-no-such-host", "https://git.invalid/config.git")
    refusing = free_port()
    desk.keep("http-refused", f"http://127.0.0.1:{refusing}/config.git", port=refusing)
    over_tls(desk)


def over_tls(desk: Desk) -> None:
    key, certificate = desk.folder / "tls.key", desk.folder / "tls.pem"
    ask = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "9"]
    subprocess.run([*ask, "-keyout", f"{key}", "-out", f"{certificate}"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.server_port
        desk.keep("https-self-signed", f"https://127.0.0.1:{port}/config.git", port=port)
        server.shutdown()
        thread.join(10)


def over_file(desk: Desk, repo: ConfigRepo) -> None:
    desk.keep("file-no-repository", f"{desk.folder / 'none.git'}")
    desk.keep("no-such-branch", f"{repo.path}", "refs/heads/none")
    name, full = "disk-full", desk.folder / "disk-full.git"
    mount = 'mount -t tmpfs -o size=300k tmpfs "$1/objects" && mkdir "$1/objects/pack" && shift && exec "$@"'
    desk.keep(name, f"{repo.path}", "main", prefix=["unshare", "--mount", "sh", "-c", mount, "sh", f"{full}"])
    repo.plumb(repo.tree(("100644", repo.blob(b"x"), ".git")), repo.head)
    desk.keep("evil-tree", f"{repo.path}", "main")


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        repo = ConfigRepo(folder / "config")
        repo.commit("First", {"data": os.urandom(MIB)})
        with ssh_server(folder / "sshd") as server:
            desk = Desk(folder, Access(server.known_hosts, server.client_key))
            over_ssh(desk, server, repo)
            over_http(desk, repo)
            over_file(desk, repo)


if __name__ == "__main__":
    main()
