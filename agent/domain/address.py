"""The address of another Git repository in an inventory: ``git+<URL>[@<ref>][//<path inside>]``.

    git+ssh://git@git.example.org/ops/deploys.git@v2//nginx/nginx.py     one file at a tag
    git+https://git.example.org/ann/dotfiles.git@main                    all files of a branch
    git+file:///srv/shared.git//motd.py                                  of whatever branch is its default

The form is that of pip's requirements, with a path behind it. The first ``@`` of the URL's path begins the ref, so that
a ref may hold further ones (``pkg@1.2``). A ref is a branch, a tag, a whole name (``refs/…``) or a commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from agent.domain.fault import Mistake

SCHEME: Final = "git+"

_URL: Final = re.compile(
    r"git\+(?P<scheme>ssh|https?|file)://(?P<authority>[^/\x00-\x20]*)(?P<repository>/[^@\x00-\x20\\]+?)"
    r"(@(?P<ref>[^\x00-\x20\\]*?))?(//(?P<path>[^\x00-\x1f\\]*))?"
)
_HOST: Final = re.compile(r"([!-9;-Z^-~]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""The port is digits alone: a password with a raw ``/`` in it must not pass for a host and a port."""
_REF: Final = re.compile(r"(?![-/.])(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)|[/.]$))[^\x00-\x20\x7f~^:?*\[\\]{1,244}")
"""The rules of git-check-ref-format(1), and no leading hyphen."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Address:
    """An address, taken apart. ``ref`` and ``path`` are empty where it has none."""

    url: str
    """The address with ``git+``, without ref and path."""
    ref: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that ``text`` is. Raises Mistake, a ValueError, with what is wrong and what to write."""
        found = _URL.fullmatch(text)
        if found is None:
            raise Mistake(
                "it has another form",
                "write git+ssh://, git+https:// or git+file://, then host/repository.git[@ref][//path]",
            )
        if (found["authority"] == "") is not (found["scheme"] == "file"):
            raise Mistake(
                "the host is missing",
                "write git+file:///path" if found["scheme"] == "file" else "write it behind the //",
            )
        user, _, host = found["authority"].rpartition("@")
        if ":" in user or (user and found["scheme"] != "ssh"):
            raise Mistake("it holds a password or token", "leave it out: the host's own access is used")
        if not _HOST.fullmatch(host):
            raise Mistake("its host or port is none", "write the name of a host in ASCII, and :port or no colon")
        ref, path = found["ref"], found["path"]
        if ref is not None and not _REF.fullmatch(ref):
            raise Mistake(f'"{ref}" is no branch, tag or commit', "write the name of one behind the @")
        if path is not None and any(part in ("", ".", "..", ".git") for part in path.split("/")):
            raise Mistake(
                f'"{path}" is no path inside of a repository', "write it without .. and without a / at its beginning"
            )
        return cls(f"git+{found['scheme']}://{found['authority']}{found['repository']}", ref or "", path or "")

    @property
    def remote(self) -> str:
        """The URL in the form that git takes."""
        return self.url.removeprefix(SCHEME)

    @property
    def pinned(self) -> str:
        """The address without the path: the name of the pin in lock.yaml."""
        return f"{self.url}@{self.ref}" if self.ref else self.url

    @property
    def exact(self) -> bool:
        """True if the ref is a commit, which cannot move."""
        return _COMMIT.fullmatch(self.ref) is not None

    def __str__(self) -> str:
        return f"{self.pinned}//{self.path}" if self.path else self.pinned
