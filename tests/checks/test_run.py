"""Each kind of check against the real thing: what passes, and what it says where it does not."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.checks.ask import run_checks
from agent.checks.spec import KINDS, check_of, model_of
from agent.domain.check import CHECK_KINDS, CheckResult

Ask = Callable[..., CheckResult]


def asked(**entry: Any) -> CheckResult:
    (result,) = run_checks([check_of("web", model_of(entry).model_validate(entry))])
    return result


def test_every_kind_that_people_may_write_has_a_row() -> None:
    assert KINDS.keys() == CHECK_KINDS.keys()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep({"/slow": 10, "/soon": 0.5}.get(self.path, 0))
        status = {"/gone": 410, "/moved": 302}.get(self.path, 200)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/")
        self.end_headers()
        self.wfile.write(f"all is well for {self.headers['Host']}".encode())

    do_HEAD = do_GET  # noqa: N815 - as the library calls it

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(wrap: Callable[[socket.socket], socket.socket] | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True  # nobody waits for what is slow
    if wrap is not None:
        server.socket = wrap(server.socket)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


@pytest.mark.parametrize(
    ("path", "more", "says"),
    [
        ("/", {}, ""),
        ("/", {"contains": "all is well"}, ""),
        ("/", {"contains": "ill"}, "the answer does not hold 'ill'"),
        ("/", {"headers": {"Host": "example.org"}, "contains": "for example.org"}, ""),
        ("/gone", {}, "410 Gone, wanted 200"),
        ("/gone", {"status": [200, 410]}, ""),
        ("/moved", {}, "302 Found, wanted 200"),
        ("/slow", {"timeout": "1s"}, "no answer within 1 s"),
        ("/", {"method": "HEAD"}, ""),
    ],
)
def test_http_asks_once_and_judges_status_and_body(port: int, path: str, more: dict[str, Any], says: str) -> None:
    result = asked(http=f"http://127.0.0.1:{port}{path}", **more)
    assert (result.passed, result.output) == (not says, says)


def test_http_goes_by_no_proxy_of_the_environment(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert asked(http=f"http://127.0.0.1:{port}/").passed


def test_nobody_at_home_is_said() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert asked(http=f"http://127.0.0.1:{port}/").output == "Connection refused"
        assert asked(tcp=f"127.0.0.1:{port}").output == "Connection refused"


@contextmanager
def talking(greeting: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting + connection.recv(100))
                connection.recv(1)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_tcp_says_and_hears() -> None:
    with talking(b"220 ") as port:
        assert asked(tcp=f"127.0.0.1:{port}", send="HELO", contains="220 HELO").passed
    with talking(b"500 ") as port:
        result = asked(tcp=f"127.0.0.1:{port}", send="HELO", contains="220", timeout="1s")
    assert result.output == "it does not say '220' but '500 HELO'"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"command": ["true"]}, ""),
        ({"command": ["sh", "-c", "echo is ill; exit 3"]}, "exit status 3, wanted 0: is ill"),
        ({"command": ["sh", "-c", "exit 3"], "exit": 3}, ""),
        ({"command": ["echo", "well"], "contains": "well"}, ""),
        ({"command": ["echo", "ill"], "contains": "well"}, "it does not say 'well': ill"),
        ({"command": ["sleep", "30"], "timeout": "1s"}, "no answer within 1 s"),
        ({"command": ["/no/such/program"]}, "No such file or directory"),
        ({"command": ["true"], "user": "nobody-there"}, "user nobody-there does not exist"),
    ],
)
def test_a_command_is_judged_by_its_end_and_what_it_writes(entry: dict[str, Any], says: str) -> None:
    result = asked(**entry)
    assert (result.passed, result.output) == (not says, says)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_command_runs_as_who_it_says() -> None:
    assert asked(command=["id", "-un"], user="nobody", contains="nobody").passed


def test_a_file_is_there_fresh_and_holds_what_it_should(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    assert asked(file=f"{file}").output == "No such file or directory"
    file.write_text("1234\n")
    assert asked(file=f"{file}", contains="1234", max_age="1m").passed
    assert asked(file=f"{file}", contains="4321").output == "it does not hold '4321'"
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    assert "wanted 60 s at most" in asked(file=f"{file}", max_age="1m").output


@pytest.mark.timeout(60)
def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    fifo = f"{tmp_path / 'fifo'}"
    os.mkfifo(fifo)
    with serving() as port:
        for entry in (
            {"file": fifo, "contains": "x"},
            {"certificate": fifo},
            {"http": f"https://127.0.0.1:{port}/", "ca": fifo},
        ):
            assert asked(**entry).output == "it is no regular file that could hold anything", entry


def test_processes_are_counted_by_name_and_user(tmp_path: Path) -> None:
    name = f"sleeps-{os.getpid()}"  # all processes of the machine count, those of other tests and hosts as well
    (tmp_path / name).symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([tmp_path / name, "300"]) as process:
        try:
            assert asked(process=name, min=1).passed
            assert "0 running of nobody" in asked(process=name, user="nobody").output
            assert "at most" in asked(process=name, max=0, min=0).output
        finally:
            process.kill()


def certificate(folder: Path, *, days: int, name: str = "web.example.org") -> Path:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "web.pem"
    encoding = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(encoding) + key.private_bytes(encoding, form, plain))
    return path


@pytest.mark.parametrize(
    ("days", "more", "says"),
    [
        (20, {}, ""),
        (20, {"days": 30}, "in less than 30 days"),
        (-2, {}, "it ended on "),
        (20, {"host": "web.example.org"}, ""),
        (20, {"host": "example.org"}, "it is not for example.org but for web.example.org"),
    ],
)
def test_a_certificate_is_good_for_a_while_and_for_its_name(
    tmp_path: Path, days: int, more: dict[str, Any], says: str
) -> None:
    result = asked(certificate=f"{certificate(tmp_path, days=days)}", **more)
    assert result.passed is not bool(says)
    assert says in result.output


def test_a_certificate_is_also_asked_of_whoever_answers(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, days=5))
    with serving(lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        assert "in less than 14 days" in asked(certificate=f"127.0.0.1:{port}", host="web.example.org").output
        url, none = f"https://127.0.0.1:{port}/", tmp_path / "none.pem"
        none.touch()
        assert "self-signed" in asked(http=url).output
        assert "mismatch" in asked(http=url, ca=f"{tmp_path / 'web.pem'}").output, "trusted, and for another name"
        assert "does not contain a certificate" in asked(http=url, ca=f"{none}").output
        assert asked(http=url, insecure=True).passed


def test_checks_that_hang_are_waited_for_together() -> None:
    checks = [check_of("web", model_of(entry).model_validate(entry)) for entry in [HANGS] * 8]
    began = time.monotonic()
    assert not any(result.passed for result in run_checks(checks))
    assert time.monotonic() - began < 8 * 2.0, "one after the other they would take sixteen seconds at least"


HANGS = {"command": ["sleep", "30"], "timeout": "2s"}
