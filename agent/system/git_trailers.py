"""Trailers: the ``Key: value`` lines at the end of a commit's message, as git itself reads them."""

from __future__ import annotations

from agent.system.git_command import git


def trailers(commit: bytes) -> tuple[tuple[str, str], ...]:
    """The keys and values of the trailers, in order, of a commit as git stores it, by git-interpret-trailers(1). Lines
    in the middle of the message are no trailers. Empty if git fails."""
    message = commit.partition(b"\n\n")[2]
    if b":" not in message.rstrip().rpartition(b"\n\n")[2]:
        return ()
    done = git("interpret-trailers", "--parse", "--no-divider", input=message)
    lines = (line.partition(":") for line in done.output.decode(errors="replace").splitlines() if done.ok)
    return tuple((key.strip(), value.strip()) for key, _, value in lines)
