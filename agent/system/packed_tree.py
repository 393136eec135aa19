"""The files of a working copy on their way to a host: packed at the desk as Git would commit them, and unpacked on the
host with the same checks as the files of a commit.

    line   {"format": 1, "tree": "<40 hex digits>"}
    rest   a Git pack (gitformat-pack) with that tree and all that is in it
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import BinaryIO, Final

from agent.domain.text import printable
from agent.errors import SourceError
from agent.problems import ProblemKind
from agent.system.git_command import git as run_git
from agent.system.git_objects import ObjectStore
from agent.system.git_tree import CommitTree
from agent.system.working_copy import Checkout

FORMAT: Final = 1
PACK_LIMIT: Final = 256 * 1024 * 1024
"""Bytes of a pack."""
HEAD_LIMIT: Final = 1024
TIMEOUT_S: Final = 120.0


def packed(checkout: Checkout) -> bytes:
    """The files of ``checkout`` that Git tracks, as they are now, committed or not, in the form above. Raises
    SourceError."""
    with checkout.beside(writes=True) as ask:

        def told(*arguments: str, input: bytes | None = None) -> bytes:
            done = ask(*arguments, input=input)
            if not done.ok or done.cut:
                why = f"it is more than {PACK_LIMIT // 1024**2} MiB" if done.cut else done.complaint
                raise SourceError(f"{checkout.top} cannot be packed: {why}", hint="does `git stash create` work there?")
            return done.output

        told("add", "--update", "--", ":/")
        tree = told("write-tree").decode().strip()
        pack = told("pack-objects", "--quiet", "--revs", "--stdout", input=f"{tree}\n".encode())
    return json.dumps({"format": FORMAT, "tree": tree}).encode() + b"\n" + pack


def unpacked(stream: BinaryIO, folder: Path) -> tuple[CommitTree, ObjectStore]:
    """The tree in ``stream``, which ``packed`` wrote, and the new repository ``folder`` that holds it. Raises
    SourceError for anything else in ``stream``."""
    try:
        head = json.loads(stream.readline(HEAD_LIMIT))
        found = head["tree"] if head["format"] == FORMAT else ""
    except (ValueError, TypeError, KeyError, RecursionError):
        found = ""
    if not isinstance(found, str) or not re.fullmatch(r"[0-9a-f]{40}", found):
        raise _refused("it does not begin as it should; are both of one version?")
    pack = stream.read(PACK_LIMIT + 1)
    if len(pack) > PACK_LIMIT:
        raise _refused(f"more than {PACK_LIMIT // 1024**2} MiB")
    store = ObjectStore(folder)
    store.make()
    done = run_git(
        *("index-pack", "--strict", "--stdin"),
        repository=folder,
        input=pack,
        timeout_s=TIMEOUT_S,
        file_limit=2 * PACK_LIMIT,
    )
    if not done.ok:
        raise _refused(printable(done.complaint))
    if store.header(found) != "tree":
        raise _refused("the tree that it names is not in it")
    return CommitTree(found, store.read), store


def _refused(why: str) -> SourceError:
    return SourceError(f"the files that were sent cannot be used: {why}", kind=ProblemKind.BAD_OBJECTS)
