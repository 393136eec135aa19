"""Stand-ins: files in a repository, or from a server, that are not the content that somebody meant. Pure.

Large files and secrets are often kept elsewhere. Git then holds a pointer of a few lines, or ciphertext. People with
the right program see the content; a host would install the pointer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LOOKED_AT = 1024
"""The bytes of a file that are looked at; enough to know a stand-in."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A kind of stand-in. ``what``: the problem, in words that go on behind the file's name. ``remedy``: what to do."""

    what: str
    remedy: str


_COMMIT_IT = "hosts fetch nothing but the repository: commit the content itself"
_LATER = "commit it in clear where it is no secret, else set it with `hostwright secret` in the config repo"

LFS = StandIn("is a pointer of Git LFS, not the content", f"{_COMMIT_IT} (`git lfs untrack`, then add it anew)")
ANNEX = StandIn("is a pointer of git-annex, not the content", f"{_COMMIT_IT} (`git annex unannex`, then add it)")
FAT = StandIn("is a pointer of git-fat, not the content", _COMMIT_IT)
GIT_CRYPT = StandIn("is encrypted by git-crypt", _LATER)
TRANSCRYPT = StandIn("is encrypted by transcrypt", _LATER)
PAGE = StandIn("is a web page, not the file that it is about", "give the address of the file itself in tools.yaml")
VAULT = StandIn("is encrypted by Ansible Vault", "`hostwright secret import` in the config repo makes a secret of it")

_BEGINNINGS = (
    # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, and the name that it had at first
    (re.compile(rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/\S+\r?\n(?s:.*)oid "), LFS),
    (re.compile(rb"/annex/objects/\S+(?:\r?\n)?"), ANNEX),  # https://git-annex.branchable.com/internals/pointer_file/
    (re.compile(rb"#\$# git-fat [0-9a-f]{40} +\d+\r?\n"), FAT),
    (re.compile(rb"\0GITCRYPT\0"), GIT_CRYPT),
    (re.compile(rb"\$ANSIBLE_VAULT;\d"), VAULT),
)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_SALTED = b"U2FsdGVkX1"
"""``Salted__`` of openssl enc, in base64. Others write it too: it is transcrypt's only if Git's attributes say so."""

FILTERS = ("lfs", "annex", "fat", "git-crypt", "crypt")
"""The filters that these programs have in Git's attributes. Through them the working copy has the content, and the
commit a stand-in."""


def stand_in(content: bytes, *, filtered: bool = False) -> StandIn | None:
    """The stand-in that ``content`` is, by its first ``LOOKED_AT`` bytes; None for real content. ``filtered``: True if
    Git's attributes give the file one of ``FILTERS``."""
    head = content[:LOOKED_AT]
    found = next((known for beginning, known in _BEGINNINGS if beginning.match(head)), None)
    return TRANSCRYPT if found is None and filtered and head.startswith(_SALTED) else found


def fetched_stand_in(content: bytes) -> StandIn | None:
    """The stand-in that a download is; None for real content. Servers send a web page instead of a file that they do
    not have, or that needs a login."""
    return PAGE if _PAGE.match(content[:LOOKED_AT]) else stand_in(content)


def link_stand_in(target: str) -> StandIn | None:
    """The stand-in that a symbolic link to ``target`` is; None for a real link."""
    return ANNEX if "/annex/objects/" in f"/{target}" else None
