"""Remotes: the text that people write, checked, and turned into a URL for git without a password in it.

Forms: ``/path``, ``file:///path``, ``ssh://[user@]host[:port]/path``, ``[user@]host:path``,
``http[s]://[user[:password]@]host[:port]/path``. Everything else that git would take (``ext::``, ``git://``,
relative paths, options in disguise) is refused.
"""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from agent.domain.text import printable
from agent.errors import SettingsError
from agent.problems import ProblemKind
from agent.system.files import require_owned_throughout
from agent.system.local_repository import require_owned_repository

SSH_PORT: Final = 22
_PORTS: Final = {"ssh": SSH_PORT, "http": 80, "https": 443}

_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_HOST: Final = r"(?P<host>[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])"
_PORT: Final = r":(?P<port>0*([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))"
_LOGIN: Final = r"(?P<login>[!$-.0->@-Z\\^-~]*)@"
"""User and password of http, without the characters at which ``_WHO`` would take them to end earlier."""
_REST: Final = r"(/.*|[?#][^@]*)?"
_BEHIND_PORT: Final = r"(/@?[^@]*(@[^/]*/?)?|[?#][^@]*)?"
"""The path after a port. ``u:12/word@host/x`` may hold a password, ``host:12/@user/x`` and ``host:12/x@v1`` hardly."""
_FORMS: Final = (
    re.compile(rf"(?P<scheme>https?)://{_LOGIN}(?P<address>{_HOST}({_PORT})?([/?#][^@]*)?)"),
    re.compile(rf"(https?|ssh)://{_HOST}({_REST}|{_PORT}{_BEHIND_PORT})"),
    re.compile(rf"ssh://{_USER}@{_HOST}({_PORT})?{_REST}"),
    re.compile(rf"{_USER}@{_HOST}:[^:].*"),
    re.compile(rf"(?!(https?|ssh|file):){_HOST}:(/([^/].*)?|[^:@/][^@/]*(/.*)?)"),
)
"""All forms but paths. bootstrap.sh has the same ones."""
_LONGEST: Final = 2000
"""Characters of user and password together; more would make some texts slow to mask."""
_PIECE: Final = rf'[^\x00-\x20"]{{0,{_LONGEST}}}'
_WHO: Final = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z0-9+.-]*)://(?!\[[0-9a-f:.]+\])(?P<user>[^/:\s]*)"
    rf'(?P<password>:(?!\d*(?:[/?#]|$)){_PIECE}(?:"(?![\s,:\]}}]|$){_PIECE}){{0,2}})?@',
    re.IGNORECASE,
)
"""The user and password of a URL in a text. A password may hold an ``@`` or a ``/`` that should have been encoded, so
it ends at the last ``@`` after it. A user without a password ends at the last ``@`` before the path, which may hold
more. Digits after a colon are a port. A quote ends a JSON text if a comma, colon, bracket or blank follows it."""
_MEANT: Final = re.compile(r"^([\w+.-]*:?//)?+(?:[^@]*:|[^@/]*@).*@", re.DOTALL)
"""The user and password of a text that was meant to be a URL, with any characters in them."""
_ENCODE: Final = "percent-encode what cannot stand in a URL: / in a password is %2F, # %23, ? %3F, a blank %20"
_BRANCH: Final = re.compile(r"(?![-/.])(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)|[/.]$))[^\x00-\x20\x7f~^:?*\[\\]{1,244}")
"""The rules of git-check-ref-format(1), and no leading hyphen."""


class Transport(StrEnum):
    FILE = "file"
    SSH = "ssh"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote. ``url``: the address that git gets and that may be shown. ``authorization``: the value of the HTTP
    header, None without a password."""

    url: str
    transport: Transport
    host: str = ""
    port: int | None = None
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Remote:
        """The remote that ``text`` means. Raises SettingsError, kind ``bad-remote`` for a text of no known form; for a
        local path also as ``_owned`` does."""
        if (wrong := mistake(text)) is not None:
            raise _refused(text, wrong)
        if text.startswith(("/", "file:")):
            return cls(str(_owned(Path(unquote(urlsplit(text).path) if text[0] == "f" else text))), Transport.FILE)
        found = _form(text)
        assert found is not None, "no mistake was found"
        parts = found.groupdict()
        server = found["host"].strip("[]"), int(parts["port"]) if parts.get("port") else None
        if not text.startswith(("http://", "https://")):
            return cls(text, Transport.SSH, *server)
        if "login" not in parts:
            return cls(text, Transport.HTTP, *server)
        return cls(f"{parts['scheme']}://{parts['address']}", Transport.HTTP, *server, _basic(parts["login"]))

    def __str__(self) -> str:
        return self.url


def mistake(text: str) -> str | None:
    """The reason why ``text`` has none of the forms of a remote; None if it has one. Nothing is looked up."""
    if not text or text.startswith("-") or re.search(r"[\x00-\x20\x7f]", text):
        return "it is empty, begins with `-` or holds blanks" + (f"; {_ENCODE}" if "@" in text else "")
    if re.match(r"/(?!/)|file://(localhost)?/.", text) and "://" not in text.removeprefix("file://"):
        return None
    scheme, _, rest = text.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if len(authority) <= _LONGEST and _form(text):
        return None
    if scheme not in ("ssh", "http", "https"):
        return "it is neither an absolute path nor host:path nor a URL of file://, ssh://, http:// or https://"
    return _wrong_in(scheme, authority, rest)


def _wrong_in(scheme: str, authority: str, rest: str) -> str:
    if len(authority) > _LONGEST:
        return f"its user and password are longer than {_LONGEST} characters"
    if scheme == "ssh" and "@" in authority:
        return "ssh takes a plain user name and no password, then the name of a host"
    if "@" in rest:
        return f"its host or port is none, or its password is cut; {_ENCODE}, and @ %40, in a path too"
    if not authority.isascii():
        return "a host's name is written in ASCII here, in the form that begins with xn--"
    return "its host or port is none: write both, or leave out the colon"


def answers(remote: Remote, proxy: str | None, timeout_s: float) -> bool:
    """True if something accepts connections at ``remote``, or at its ``proxy``; nothing is sent. A local repository
    answers while it exists."""
    if remote.transport is Transport.FILE:
        return Path(remote.url.removeprefix("file://")).is_dir()
    host, port = remote.host, remote.port or _PORTS[urlsplit(remote.url).scheme if "://" in remote.url else "ssh"]
    try:
        if proxy is not None and remote.transport is Transport.HTTP:
            way = urlsplit(proxy)
            host, port = way.hostname or host, way.port or _PORTS.get(way.scheme, port)
        with socket.create_connection((host, port), timeout_s):
            return True
    except (OSError, ValueError):  # urlsplit takes a password that is not encoded for a port, and its error quotes it
        return False


def can_be_a_branch(name: str) -> bool:
    """True if git takes ``name`` for the name of a branch or tag, and never for an option."""
    return _BRANCH.fullmatch(name) is not None


def checked_branch(name: str) -> str:
    """``name``, if it can be the name of a branch. Raises SettingsError, kind ``bad-branch``, if it cannot."""
    if not can_be_a_branch(name):
        raise SettingsError(
            f"{printable(name)!r} cannot be the name of a branch",
            kind=ProblemKind.BAD_BRANCH,
            hint="see git-check-ref-format(1); it must not begin with `-` either",
        )
    return name


def without_password(text: str) -> str:
    """``text`` with the password of every URL in it masked, and the user too, which may be a token, unless it is a URL
    of ssh."""
    return _WHO.sub(_masked, text)


def concealed(text: str) -> str:
    """``text``, which is refused as a URL, with the parts masked that may be meant as user and password."""
    return without_password(_MEANT.sub(r"\1***@", text))


def _masked(found: re.Match[str]) -> str:
    if not found["scheme"].lower().endswith("ssh"):
        return f"{found['scheme']}://***@"
    return f"{found['scheme']}://{found['user']}{':***' if found['password'] else ''}@"


def _form(text: str) -> re.Match[str] | None:
    return next((found for form in _FORMS if (found := form.fullmatch(text))), None)


def _basic(login: str) -> str:
    """The value of the header Authorization for ``login``, user and password (RFC 7617). In a header the password is
    not in the arguments of a program, which all users of a host can read."""
    user, _, password = login.partition(":")
    return f"Basic {base64.b64encode(f'{unquote(user)}:{unquote(password)}'.encode()).decode()}"


def _owned(path: Path) -> Path:
    """``path`` without links. Raises SettingsError if it is not absolute, or if others than root (or the user who runs
    this) could change a file there: git runs as root inside a local remote, and obeys its configuration."""
    if not path.is_absolute():
        raise _refused(f"{path}", "a local path must be absolute")
    require_owned_throughout(path)
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # which of them depends on the version of Python
        raise _refused(f"{path}", "its links lead in a circle") from None
    require_owned_repository(resolved)
    return resolved


def _refused(text: str, why: str) -> SettingsError:
    return SettingsError(
        f"the remote {printable(concealed(text))!r} cannot be used: {why}",
        kind=ProblemKind.BAD_REMOTE,
        hint="write ssh://git@host/path.git, git@host:path.git, https://host/path.git or /absolute/path.git",
    )
