"""A host that an administrator logs in to: paramiko with the person's ssh_config, agent, jump hosts and known_hosts.

A host's key is looked up in known_hosts by ssh-keygen, or compared with a fingerprint that the person gives. A key that
is in neither ends the connection before anything is sent. No key is ever added to known_hosts.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import paramiko

from agent.domain.text import printable
from agent.errors import SourceError, UsageError
from agent.problems import ProblemKind
from agent.system.remote import SSH_PORT
from agent.system.ssh import KnownKeys
from agent.system.ssh_config import configured

CONNECT_TIMEOUT_S: Final = 20
LOGIN_TIMEOUT_S: Final = 30.0
SUDO_TIMEOUT_S: Final = 20.0
JUMPS_MOST: Final = 8
OUTPUT_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a program's output that are kept."""
_CHUNK: Final = 64 * 1024
_KEEP_ALIVE_S: Final = 15
_SUDO: Final = ("env", "LC_ALL=C", "sudo")
"""sudo with its messages in English, because they are read here."""
_KNOWN_HOSTS: Final = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN_HOSTS: Final = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"

Ask = Callable[[str], str]
"""Called with the text of a question; returns the password that the person types."""


@dataclass(frozen=True, slots=True)
class Login:
    """The host, user and port to log in with. ``host``: a name or address, or a name of ssh_config."""

    host: str
    user: str | None = None
    port: int | None = None
    fingerprint: str | None = None
    """``SHA256:…`` of the host's key, if the person knows it from elsewhere."""

    @classmethod
    def parse(cls, text: str, fingerprint: str | None = None) -> Login:
        """The login that ``text`` means: ``[USER@]HOST[:PORT]``. Raises UsageError."""
        user, at, rest = text.rpartition("@")
        if bracketed := re.fullmatch(r"\[([^\[\]]*)\](?:(:)(.*))?", rest):
            host, colon, port = bracketed[1], bracketed[2] or "", bracketed[3] or ""
        else:
            host, colon, port = rest.rpartition(":") if rest.count(":") == 1 else (rest, "", "")
        if (
            not host
            or host.startswith("-")
            or not host.isprintable()
            or re.search(r"[\[\]]", host)
            or (at and not user)
            or " " in text
        ):
            raise UsageError(f"{printable(text)} is nothing to log in to", hint="write [USER@]HOST[:PORT]")
        if colon and not (port.isdigit() and 0 < int(port) < 65536):
            raise UsageError(f"{printable(text)} has no port that there could be", hint="write [USER@]HOST[:PORT]")
        return cls(host, user or None, int(port) if colon else None, fingerprint)

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class Ran:
    """The end of a program on the host: its exit code, its stdout, and the last lines of its stderr."""

    code: int
    output: bytes
    error: str

    @property
    def complaint(self) -> str:
        """The last line that it wrote to stderr, without the hints of hostwright; else its exit code."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip() and not line.startswith("  →")]
        return (
            printable(lines[-1].removeprefix("hostwright: "), 300) if lines else f"it ended with exit code {self.code}"
        )


class SshHost:
    """A host on which this person is logged in."""

    def __init__(self, login: Login, client: paramiko.SSHClient, user: str, ask: Ask | None) -> None:
        self.login = login
        self._client = client
        self._user = user
        self._ask = ask
        self._sudo: tuple[list[str], bytes] | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | IO[bytes] = b"",
        on_line: Callable[[str], None] | None = None,
        timeout_s: float | None = None,
    ) -> Ran:
        """Run a program on the host as root, by sudo if this person is not root there. ``on_line`` gets each line of
        stderr as it comes. Raises SourceError, kind ``auth-refused`` if sudo refuses."""
        prefix, password = self._as_root()
        return self._run([*prefix, *argv], password, input, on_line, timeout_s)

    def _as_root(self) -> tuple[list[str], bytes]:
        """The command that becomes root, and the password that it reads first. The person is asked once."""
        if self._sudo is None:
            self._sudo = ([], b"") if self._user == "root" else self._sudo_way()
        return self._sudo

    def _sudo_way(self) -> tuple[list[str], bytes]:
        done = self._run([*_SUDO, "-k", "-n", "true"], b"", b"", None, SUDO_TIMEOUT_S)
        if done.code == 0:
            return [*_SUDO, "-n", "--"], b""
        if "password" not in done.error or self._ask is None:
            raise self._refused(f"{self._user} cannot become root there: {done.complaint}", "log in as root@HOST")
        password = f"{self._ask(f'[sudo] password of {self._user} on {self.login.host}: ')}\n".encode()
        way = [*_SUDO, "-k", "-S", "-p", "", "--"]
        done = self._run([*way, "true"], password, b"", None, SUDO_TIMEOUT_S)
        if done.code:
            raise self._refused(f"sudo does not take the password of {self._user}: {done.complaint}", "try again")
        return way, password

    def _run(
        self,
        argv: Sequence[str],
        first: bytes,
        input: bytes | IO[bytes],
        on_line: Callable[[str], None] | None,
        timeout_s: float | None,
    ) -> Ran:
        try:
            channel = _transport(self._client).open_session(timeout=CONNECT_TIMEOUT_S)
            channel.settimeout(timeout_s)
            channel.exec_command(shlex.join(argv))
            heard: list[str] = []
            listener = threading.Thread(target=_listen, args=(channel, heard, on_line), daemon=True)
            listener.start()
            writer = threading.Thread(target=_write, args=(channel, first, input), daemon=True)
            writer.start()
            output = bytearray()
            while chunk := channel.recv(_CHUNK):
                output += chunk
                if len(output) > OUTPUT_LIMIT:
                    channel.close()
                    raise SourceError(
                        f"{self.login.name} answers with more than {OUTPUT_LIMIT // 1024**2} MiB",
                        kind=ProblemKind.BAD_ANSWER,
                    )
            listener.join(timeout_s)
            code = channel.recv_exit_status()
            channel.close()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _lost(self.login, error) from error
        return Ran(code, bytes(output), "".join(heard))

    def _refused(self, what: str, hint: str) -> SourceError:
        return SourceError(f"{self.login.name}: {what}", kind=ProblemKind.AUTH_REFUSED, hint=hint)


@contextmanager
def logged_in(login: Login, ask: Ask | None = None) -> Iterator[SshHost]:
    """The host, logged in to until the block ends. ``ask``: asks the person for a password; None if nobody can answer.

    Raises UsageError for an invalid ssh_config; SourceError, kinds ``source-unreachable``, ``timeout``,
    ``host-key-unknown``, ``host-key-mismatch`` and ``auth-refused``.
    """
    with ExitStack() as opened:
        client, user = _connected(login, ask, opened, JUMPS_MOST)
        yield SshHost(login, client, user, ask)


def person_at_terminal() -> Ask | None:
    """The function that asks for a password at the terminal; None if there is no terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    return getpass.getpass


def _connected(login: Login, ask: Ask | None, opened: ExitStack, jumps: int) -> tuple[paramiko.SSHClient, str]:
    told = configured(login.host)
    user = login.user or told.get("user") or getpass.getuser()
    host, port = told.get("hostname", login.host), login.port or _number(told, login, "port", SSH_PORT)
    name = told.get("hostkeyalias", host)
    files = told.get("userknownhostsfile", _KNOWN_HOSTS), told.get("globalknownhostsfile", _GLOBAL_KNOWN_HOSTS)
    known = [Path(path).expanduser() for path in " ".join(files).split()]
    keys = KnownKeys(login.host, name, SSH_PORT if "hostkeyalias" in told else port, known, login.fingerprint)
    client = paramiko.SSHClient()
    opened.callback(client.close)
    client.set_missing_host_key_policy(keys)
    try:
        dial = partial(_socket, told, login, (host, port), ask=ask, opened=opened, jumps=jumps)
        only = told.get("identitiesonly", "no") == "yes"
        own = [path for path in told.get("identityfile", []) if Path(path).is_file()]
        options: dict[str, Any] = {
            "sock": dial(),
            "username": user,
            "key_filename": own or None,
            "allow_agent": not only and told.get("identityagent", "") != "none",
            "look_for_keys": not own,
            "banner_timeout": LOGIN_TIMEOUT_S,
            "auth_timeout": LOGIN_TIMEOUT_S,
            "transport_factory": keys.transport,
        }
        try:
            client.connect(name, port, **options)
        except (paramiko.PasswordRequiredException, paramiko.AuthenticationException) as error:
            if ask is None or "password" not in getattr(error, "allowed_types", ["password"]):
                raise
            password = ask(f"password of {user}@{login.host}: ")
            options["sock"] = dial()
            client.connect(name, port, password=password, **options)
        _transport(client).set_keepalive(_KEEP_ALIVE_S)
    except paramiko.AuthenticationException as error:
        raise SourceError(
            f"{login.name} does not let {user} in: {error}",
            kind=ProblemKind.AUTH_REFUSED,
            hint="does `ssh` get in? Add the key to your agent: ssh-add",
        ) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise _lost(login, error) from error
    return client, user


def _socket(
    told: paramiko.SSHConfigDict,
    login: Login,
    address: tuple[str, int],
    *,
    ask: Ask | None,
    opened: ExitStack,
    jumps: int,
) -> Any:
    """A connection to the host's port: straight, by a program, or through other hosts."""
    jump = told.get("proxyjump", "none")
    if jump != "none":
        if not jumps:
            raise UsageError(f"{login.name}: the jump hosts of ssh_config have no end", hint="look for a circle")
        *before, last = jump.split(",")
        way = Login.parse(last.removeprefix("ssh://").rstrip("/"))
        if before:
            raise UsageError(
                f"{login.name}: several jump hosts in one line", hint=f"give {last} a ProxyJump of its own"
            )
        client, _ = _connected(way, ask, opened, jumps - 1)
        return _transport(client).open_channel("direct-tcpip", address, ("", 0), timeout=CONNECT_TIMEOUT_S)
    if command := told.get("proxycommand"):
        try:
            return paramiko.ProxyCommand(command)
        except ValueError as error:
            raise _misconfigured(login, "ProxyCommand", command) from error
    timeout_s = _number(told, login, "connecttimeout", CONNECT_TIMEOUT_S)
    connection = socket.create_connection(address, timeout_s)
    opened.callback(connection.close)
    return connection


def _transport(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    assert transport is not None, "it is connected"
    return transport


def _number(told: paramiko.SSHConfigDict, login: Login, name: str, otherwise: int) -> int:
    said = f"{told.get(name, 'none')}"
    if said == "none":
        return otherwise
    if not re.fullmatch("[0-9]{1,5}", said) or not 0 < int(said) < 65536:
        raise _misconfigured(login, name, said)
    return int(said)


def _misconfigured(login: Login, name: str, said: str) -> UsageError:
    what = f"{login.name}: ssh_config: {name} is {printable(said)}"
    return UsageError(what, hint=f"`ssh -G {login.host}` reads the same files")


def _listen(channel: paramiko.Channel, heard: list[str], on_line: Callable[[str], None] | None) -> None:
    """Keep the last lines that the program writes to stderr in ``heard``, and pass each line to ``on_line``."""
    with channel.makefile_stderr("rb", -1) as errors:
        for raw in errors:
            line = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
            heard.append(line)
            del heard[:-200]
            if on_line is not None:
                on_line(line.rstrip("\r\n"))


def _write(channel: paramiko.Channel, first: bytes, input: bytes | IO[bytes]) -> None:
    """Send ``first`` and ``input``. Errors are ignored: the exit code shows if the program ended too early."""
    try:
        channel.sendall(first)
        if isinstance(input, bytes):
            channel.sendall(input)
        else:
            while chunk := input.read(_CHUNK):
                channel.sendall(chunk)
        channel.shutdown_write()
    except OSError:
        return


def _lost(login: Login, error: Exception) -> SourceError:
    timed_out = isinstance(error, TimeoutError)
    said = getattr(error, "strerror", None) or f"{error}"
    why = "no answer in time" if timed_out else said or "it ended the connection"
    kind = ProblemKind.TIMEOUT if timed_out else ProblemKind.SOURCE_UNREACHABLE
    return SourceError(f"{login.name}: {printable(why)}", kind=kind, hint="does `ssh` get there?")
