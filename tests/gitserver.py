"""Real Git for tests: people who sign commits, and remotes over file, http and ssh.

``Author``        a person with an ssh key made by ssh-keygen
``ConfigRepo``    a repository in which authors commit, sign, merge and rewrite
``http_server``   git http-backend behind a small web server, with or without a password
``ssh_server``    sshd on a loopback port, with host key, configuration and authorized keys of its own

Nothing is written outside the folder that is given.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from agent.system.process import run

TIMEOUT_S = 120

SETTINGS = """\
[user]
	name = nobody
	email = nobody@example.org
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	autogc = false
"""
"""Of every repository. Nothing is tidied up: git would start a process for it with each commit."""


@dataclass(frozen=True, slots=True)
class Author:
    """``line`` is what stands for this person in a trusted_signers file."""

    name: str
    key: Path

    @property
    def public(self) -> str:
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    @property
    def line(self) -> str:
        return f'{self.name}@example.org namespaces="git" {self.public}'

    def line_with(self, options: str) -> str:
        return f"{self.name}@example.org {options} {self.public}"

    @property
    def fingerprint(self) -> str:
        return _run(["ssh-keygen", "-l", "-f", f"{self.key}.pub"]).split()[1]


def author(folder: Path, name: str) -> Author:
    """A person with a fresh key below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / name
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"{key}"])
    return Author(name, key)


class ConfigRepo:
    """A working copy at ``path``, branch ``main``, with nothing of the person's own configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--template=", "--initial-branch=main")
        _furnish(path / ".git")

    def git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Runs git here; stdout without the last newline."""
        return _run(["git", "-C", f"{self.path}", *arguments], env=env)

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Writes, or with None removes, files by their path, and stages them."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")

    def commit(
        self,
        subject: str,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        by: Author | None = None,
        date: str = "",
    ) -> str:
        """Commits, signed ``by`` an author or not at all; the commit's sha. ``date``: ``2024-05-01T12:00:00Z``."""
        self.write(files or {})
        dated = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
        self.git(*_signing(by), "commit", "--quiet", "--allow-empty", *_sign(by), "-m", subject, env=dated)
        return self.head

    def merge(self, *others: str, by: Author | None = None) -> str:
        self.git(*_signing(by), "merge", "--quiet", "--no-ff", *_sign(by), "-m", f"Merge {others[0]}", *others)
        return self.head

    def tag(self, name: str, at: str = "HEAD", *, by: Author | None = None, force: bool = False) -> str:
        """An annotated tag, signed ``by`` an author or not; the tag object's sha."""
        forced = ("--force",) if force else ()
        self.git(*_signing(by), "tag", *forced, "--sign" if by else "--annotate", "-m", f"Release {name}", name, at)
        return self.git("rev-parse", f"refs/tags/{name}")

    def plumb(self, tree: str, *parents: str, by: Author | None = None) -> str:
        """A commit of any tree, however odd; ``main`` moves there, the working copy does not."""
        options = [option for parent in parents for option in ("-p", parent)]
        sha = self.git(*_signing(by), "commit-tree", *_sign(by), "-m", "Plumbed", *options, tree)
        self.git("update-ref", "refs/heads/main", sha)
        return sha

    def blob(self, content: bytes) -> str:
        return _run(["git", "-C", f"{self.path}", "hash-object", "-w", "--stdin"], input=content)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of (mode, object, name), written without git's checks of what a name may be."""
        raw = b"".join(
            f"{mode} {name}".encode() + b"\0" + bytes.fromhex(found)
            for mode, found, name in sorted(entries, key=lambda entry: entry[2])
        )
        argv = ["git", "-C", f"{self.path}", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"]
        return _run(argv, input=raw)

    @property
    def head(self) -> str:
        branch = (self.path / ".git/HEAD").read_text().removeprefix("ref: ").strip()
        loose = self.path / ".git" / branch
        return loose.read_text().strip() if loose.is_file() else self.git("rev-parse", "HEAD")

    @classmethod
    def at(cls, path: Path) -> Self:
        """The repository that is at ``path`` already."""
        repo = cls.__new__(cls)
        repo.path = path
        return repo

    def bare(self, path: Path) -> Path:
        """A bare clone, which ``git push origin`` of this repository then reaches."""
        _run(["git", "clone", "--quiet", "--bare", "--template=", f"{self.path}", f"{path}"])
        _furnish(path)
        self.git("remote", "add", "origin", f"{path}")
        return path


@dataclass(frozen=True, slots=True)
class HttpServer:
    port: int

    def url(self, path: str, user: str = "") -> str:
        """Of the repository at ``path`` below the served folder; ``user`` may hold a password after a colon."""
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"


@contextlib.contextmanager
def http_server(folder: Path, *, password: str = "", read_only: bool = False) -> Iterator[HttpServer]:
    """Serves the bare repositories below ``folder``, also for pushing; with a ``password`` (``user:word``) only to
    those who know it."""
    expected = "Basic " + base64.b64encode(password.encode()).decode()

    class Backend(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            if password and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": f"{folder}",
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "2",
                "GIT_CONFIG_KEY_0": "http.receivepack",
                "GIT_CONFIG_VALUE_0": "false" if read_only else "true",
                "GIT_CONFIG_KEY_1": "safe.directory",
                "GIT_CONFIG_VALUE_1": "*",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = run(
                ["git", "http-backend"], input=self._body(), env=environment, timeout_s=TIMEOUT_S, output_limit=2**30
            )
            head, _, body = done.output.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield HttpServer(server.server_port)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@dataclass(frozen=True, slots=True)
class SshServer:
    """``client_key`` may log in; ``known_hosts`` names the server. Both may be changed by a test."""

    port: int
    host_key: Path
    client_key: Path
    known_hosts: Path
    authorized_keys: Path

    def url(self, path: Path) -> str:
        """Of a repository anywhere on this machine."""
        return f"ssh://127.0.0.1:{self.port}{path}"

    def known_as(self, key: Path) -> str:
        """A line of known_hosts by which this server would have the key in ``key``.pub."""
        return f"[127.0.0.1]:{self.port} {key.with_suffix('.pub').read_text()}"


@contextlib.contextmanager
def ssh_server(folder: Path, settings: str = "") -> Iterator[SshServer]:
    """sshd for whoever runs the tests, with lines of sshd_config of their own; without one the test is skipped. As root
    its /run/sshd lies in a namespace."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs sshd")
    folder.mkdir(parents=True, exist_ok=True)
    host, client = author(folder, "host_key").key, author(folder, "client_key").key
    server = SshServer(free_port(), host, client, folder / "known_hosts", folder / "authorized_keys")
    server.authorized_keys.write_text(client.with_suffix(".pub").read_text())
    server.known_hosts.write_text(server.known_as(host))
    config = folder / "sshd_config"
    config.write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {server.authorized_keys}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nAcceptEnv GIT_PROTOCOL\n"
        f"{settings}\n"
    )
    argv = [program, "-D", "-e", "-f", f"{config}"]
    if os.geteuid() == 0:
        script = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"'
        argv = ["unshare", "--mount", "sh", "-c", script, "sh", *argv]
    with (folder / "sshd.log").open("wb") as log, subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL) as sshd:
        try:
            _wait_for(server.port, sshd, folder / "sshd.log")
            yield server
        finally:
            sshd.terminate()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def answering_server(answer: bytes, *, trickles: bool = False) -> Iterator[int]:
    """A port that gives every caller the same answer; trickling, a byte at a time and again and again."""

    def talk(caller: socket.socket) -> None:
        caller.sendall(answer)
        while trickles:  # until the caller has gone
            time.sleep(0.05)
            caller.sendall(b"x")

    with hostile_server(talk) as port:
        yield port


ADVERTISEMENT = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n"


def endless_refs(caller: socket.socket) -> None:
    """Branches with long names, one after the other, for as long as somebody listens."""
    name = b"x" * 1000
    caller.sendall(ADVERTISEMENT + b"001e# service=git-upload-pack\n0000")
    for number in itertools.count():
        lines = (b"%040x refs/heads/%b%d\n" % (n, name, n) for n in range(1000 * number, 1000 * number + 1000))
        caller.sendall(b"".join(b"%04x%b" % (len(line) + 4, line) for line in lines))


@contextlib.contextmanager
def hostile_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port that does with each caller, at once, what ``talk`` says, after it has heard what they want."""
    stopped = threading.Event()

    def answer(caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            caller.recv(65536)
            talk(caller)

    def serve() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join(10)


def damaging_proxy(port: int, at: int) -> contextlib.AbstractContextManager[int]:
    """A port that passes everything on to ``port``, and changes one byte of each answer that is longer than ``at``."""

    def damaged(data: bytearray, passed: int) -> None:
        if passed <= at < passed + len(data):
            data[at - passed] ^= 0xFF

    return _proxy(port, damaged)


def trickling_proxy(port: int, after: int) -> contextlib.AbstractContextManager[int]:
    """A port that passes everything on to ``port``, and what lies behind the first ``after`` bytes of an answer slowly:
    40 KiB a second, so that each moment something comes."""
    return _proxy(port, lambda _, passed: time.sleep(0.1 if passed > after else 0))


@contextlib.contextmanager
def _proxy(port: int, treat: Callable[[bytearray, int], None]) -> Iterator[int]:
    """``treat``: called with each part of an answer and how much of it has passed before."""
    stopped = threading.Event()

    def pass_on(source: socket.socket, sink: socket.socket, treat: Callable[[bytearray, int], None]) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := bytearray(source.recv(4096)):
                treat(data, passed)
                passed += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                caller, _ = listener.accept()
                with caller, socket.create_connection(("127.0.0.1", port)) as server:
                    back = threading.Thread(target=pass_on, args=(server, caller, treat), daemon=True)
                    back.start()
                    pass_on(caller, server, lambda _, __: None)
                    back.join(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join(10)


_OFFERED = 12_000, 30_000
"""Ports that the kernel gives to nobody who asks for any (ip_local_port_range begins at 32768)."""
_tried = itertools.count(os.getpid() * 31)


def free_port() -> int:
    """A port on which nothing listens, and that nobody gets by chance before it is used."""
    first, beyond = _OFFERED
    while True:
        port = first + next(_tried) % (beyond - first)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"sshd ended: {log.read_text()}"
        time.sleep(0.01)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")


def _furnish(repository: Path) -> None:
    """Give it the settings, and instead of git's fifteen templates the folders that they lie in."""
    with (repository / "config").open("a") as config:
        config.write(SETTINGS)
    for name in ("hooks", "info"):
        (repository / name).mkdir(exist_ok=True)


def _signing(by: Author | None) -> tuple[str, ...]:
    if by is None:
        return ()
    identity = ("-c", f"user.name={by.name}", "-c", f"user.email={by.name}@example.org")
    return (*identity, "-c", "gpg.format=ssh", "-c", f"user.signingKey={by.key}")


def _sign(by: Author | None) -> tuple[str, ...]:
    return ("--no-gpg-sign",) if by is None else ("--gpg-sign",)


def _run(argv: list[str], *, input: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **(env or {}),
    }
    done = run(argv, timeout_s=TIMEOUT_S, input=input, env=environment)
    assert done.ok, f"{argv}: {done.error.decode(errors='replace')}"
    return done.output.decode().removesuffix("\n")
