"""Reports, hosts with keys, and bare repositories to send them to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.domain.host_phase import HostPhase
from agent.domain.report import Commits, Digests, Report
from agent.domain.status import Signed
from agent.fleet.writer import StatusBranch
from agent.host.identity import Identity
from agent.system.git_command import Access
from agent.system.remote import Remote

NOW = 1_700_000_000
SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "ab" * 32
DEADLINE_S = 60.0


def report(host: str = "web1", sequence: int = NOW * 1000, **changed: Any) -> Report:
    """A host that is well, but for what is ``changed``."""
    plain: dict[str, Any] = {
        "inventory": "production",
        "at": NOW,
        "next_due": NOW + 3600,
        "agent_version": "1.0.0",
        "phase": HostPhase.CONVERGED,
        "commits": Commits(seen=SHA, trusted=SHA, aimed=SHA, signer="ann@example.org"),
        "digests": Digests(aimed=DIGEST, applied=DIGEST, good=DIGEST),
    }
    return Report(host=host, sequence=sequence, **(plain | changed))


def identity(folder: Path, host: str = "web1") -> Identity:
    return Identity.ensure(folder / "identities" / host, host)


def signed(folder: Path, host: str = "web1", sequence: int = NOW * 1000, **changed: Any) -> Signed:
    """A report of ``host``, signed with its key, which is made in ``folder`` at the first call."""
    return identity(folder, host).signed(report(host, sequence, **changed))


def branch(folder: Path, remote: Path | str, cache: str = "cache") -> StatusBranch:
    return StatusBranch(folder / cache, Remote.parse(f"{remote}"), Access(None, None))


def bare(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", "--bare", str(path))
    return path


def git(*argv: str, cwd: Path | None = None, input: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        ["git", *argv], cwd=cwd, input=input, env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def show(remote: Path, path: str, at: str = "status") -> bytes:
    return git("show", f"{at}:{path}", cwd=remote)


def history(remote: Path) -> list[str]:
    """Subjects, oldest first."""
    return git("log", "--reverse", "--format=%s", "status", cwd=remote).decode().splitlines()


def paths(remote: Path) -> list[str]:
    return git("ls-tree", "-r", "--name-only", "status", cwd=remote).decode().splitlines()


def tamper(remote: Path, files: Mapping[str, bytes | None], message: str = "by hand") -> None:
    """A commit on the status branch made by anybody who may push: files set, or removed where None."""
    changes = b"".join(
        f"D {path}\n".encode()
        if content is None
        else b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(content), content)
        for path, content in files.items()
    )
    known = git("for-each-ref", "refs/heads/status", cwd=remote)
    parent = b"from refs/heads/status^0\n" if known else b""
    who = b"committer x <x@x> %d +0000\n" % NOW
    text = message.encode()
    git(
        "fast-import",
        "--quiet",
        "--date-format=raw",
        cwd=remote,
        input=b"commit refs/heads/status\n" + who + b"data %d\n%b\n" % (len(text), text) + parent + changes,
    )
