"""A remote as people write it, turned into what git may be given: checked, and without a password in it.

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
from urllib.parse import SplitResult, unquote, urlsplit

from agent.domain.text import printable
from agent.errors import SettingsError
from agent.problems import ProblemKind
from agent.system.files import require_owned_throughout
from agent.system.local_repository import require_owned_repository

SSH_PORT: Final = 22
_PORTS: Final = {"ssh": SSH_PORT, "http": 80, "https": 443}

_USER: Final = r"(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)"
_HOST: Final = r"(?P<host>[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])"
_SCP: Final = re.compile(rf"({_USER}@)?{_HOST}:(?P<path>[^:\s][^\s]*)")
_URL_HOST: Final = re.compile(_HOST)
_URL_USER: Final = re.compile(_USER)
_WHO: Final = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z0-9+.-]*)://(?!\[[0-9a-f:.]+\])(?P<user>[^/:\s]*)"
    r'(?P<password>:(?!\d*(?:[/?#]|$))[^\s"]{0,2000})?@',
    re.IGNORECASE,
)
"""A password may have an ``@`` or a ``/`` in it that should have been encoded, so it ends before the last ``@`` of all
that follows. A user ends before the last one of the authority, for a path may have some. Digits are a port."""
_MEANT: Final = re.compile(r"^([\w+.-]*:?//)?+(?:[^@]*:|[^@/]*@).*@", re.DOTALL)
"""The user and password of what was meant to be a URL, whatever stands in them."""
_ENCODE: Final = "percent-encode what cannot stand in a URL: / in a password is %2F, # %23, ? %3F, a blank %20"
_BRANCH: Final = re.compile(r"(?![-/.])(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)|[/.]$))[^\x00-\x20\x7f~^:?*\[\\]{1,244}")
"""The rules of git-check-ref-format(1), and no leading hyphen."""


class Transport(StrEnum):
    FILE = "file"
    SSH = "ssh"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Remote:
    """``url`` is what git gets and what may be shown. ``authorization`` is the value of an HTTP header, or None."""

    url: str
    transport: Transport
    host: str = ""
    port: int | None = None
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Raises SettingsError, kind ``bad-remote``, or for a local path what ``_owned`` raises."""
        if not text or text.startswith("-") or re.search(r"[\x00-\x20\x7f]", text):
            raise _refused(
                text, "it is empty, begins with `-` or holds blanks" + (f"; {_ENCODE}" if "@" in text else "")
            )
        if text.startswith("/"):
            return cls(str(_owned(Path(text))), Transport.FILE)
        if "://" in text:
            return cls._from_url(text)
        match = _SCP.fullmatch(text)
        if match is None:
            raise _refused(text, "it is neither an absolute path nor a URL")
        return cls(text, Transport.SSH, match["host"].strip("[]"))

    @classmethod
    def _from_url(cls, text: str) -> Remote:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _refused(text, f"its host or port is none; {_ENCODE}") from None  # the error quotes the password
        if "@" in parts.query + parts.fragment:
            raise _refused(text, _ENCODE)
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            return cls(str(_owned(Path(unquote(parts.path)))), Transport.FILE)
        host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}")
        if parts.scheme not in ("ssh", "http", "https") or not _URL_HOST.fullmatch(host):
            raise _refused(text, "only file, ssh, http and https with a host's name are supported")
        if parts.scheme != "ssh" and parts.netloc != host and "@" in parts.path:
            raise _refused(text, f"a password ends at its first /; {_ENCODE}, and @ in a path is %40")
        if parts.scheme == "ssh":
            if parts.password is not None or (parts.username is not None and not _URL_USER.fullmatch(parts.username)):
                raise _refused(text, "ssh takes a plain user name and no password")
            return cls(text, Transport.SSH, host.strip("[]"), port)
        address = parts.netloc.rpartition("@")[2]
        return cls(parts._replace(netloc=address).geturl(), Transport.HTTP, host.strip("[]"), port, _basic(parts))

    def __str__(self) -> str:
        return self.url


def answers(remote: Remote, proxy: str | None, timeout_s: float) -> bool:
    """True if something listens at ``remote``; nothing is said to it. A local repository answers while it exists."""
    if remote.transport is Transport.FILE:
        return Path(remote.url.removeprefix("file://")).is_dir()
    host, port = remote.host, remote.port or _PORTS[urlsplit(remote.url).scheme if "://" in remote.url else "ssh"]
    try:
        if proxy is not None and remote.transport is Transport.HTTP:
            way = urlsplit(proxy)
            host, port = way.hostname or host, way.port or _PORTS.get(way.scheme, port)
        with socket.create_connection((host, port), timeout_s):
            return True
    except (OSError, ValueError):  # a password that is not encoded is no port, and the error quotes it
        return False


def can_be_a_branch(name: str) -> bool:
    """True if git takes it as the name of a branch or tag, and never for an option."""
    return _BRANCH.fullmatch(name) is not None


def checked_branch(name: str) -> str:
    """``name`` when it can be a branch. Raises SettingsError, kind ``bad-branch``."""
    if not can_be_a_branch(name):
        raise SettingsError(
            f"{printable(name)!r} cannot be the name of a branch",
            kind=ProblemKind.BAD_BRANCH,
            hint="see git-check-ref-format(1); it must not begin with `-` either",
        )
    return name


def without_password(text: str) -> str:
    """``text`` with the password of every URL in it masked. So is the user, which may be a token, but not ssh's."""
    return _WHO.sub(_masked, text)


def concealed(text: str) -> str:
    """``text`` that is refused as a URL, without what may have been meant as user and password."""
    return without_password(_MEANT.sub(r"\1***@", text))


def _masked(found: re.Match[str]) -> str:
    if not found["scheme"].lower().endswith("ssh"):
        return f"{found['scheme']}://***@"
    return f"{found['scheme']}://{found['user']}{':***' if found['password'] else ''}@"


def _basic(parts: SplitResult) -> str | None:
    """RFC 7617. As a header, the password stands in no program's arguments, which all users of a host can read."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _owned(path: Path) -> Path:
    """The path without links, when nobody but root (or who runs this) could change what git finds there.

    Git runs as root inside a local remote and obeys its configuration. Raises SettingsError naming what is not so.
    """
    if not path.is_absolute():
        raise _refused(f"{path}", "a local path must be absolute")
    resolved = path.resolve()
    require_owned_throughout(resolved)
    require_owned_repository(resolved)
    return resolved


def _refused(text: str, why: str) -> SettingsError:
    return SettingsError(
        f"the remote {printable(concealed(text))!r} cannot be used: {why}",
        kind=ProblemKind.BAD_REMOTE,
        hint="write ssh://git@host/path.git, git@host:path.git, https://host/path.git or /absolute/path.git",
    )
