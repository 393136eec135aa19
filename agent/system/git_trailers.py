"""Trailers: the ``Key: value`` lines at the end of a commit's message, as git itself reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent.system.git_environment import local_environment
from agent.system.process import run

TIMEOUT_S: Final = 20.0


def trailers(commit: bytes) -> tuple[tuple[str, str], ...]:
    """Keys and values, in order, of a commit as git stores it; by git-interpret-trailers(1), so that a line in the
    middle of the text is none. None where git does not answer: then a commit says nothing."""
    message = commit.partition(b"\n\n")[2]
    if b":" not in message.rstrip().rpartition(b"\n\n")[2]:
        return ()
    argv = ["git", "interpret-trailers", "--parse", "--no-divider"]
    done = run(argv, timeout_s=TIMEOUT_S, input=message, env=local_environment(), cwd=Path("/"))
    lines = (line.partition(":") for line in done.output.decode(errors="replace").splitlines() if done.ok)
    return tuple((key.strip(), value.strip()) for key, _, value in lines)
