"""apt and dpkg as programs, unattended: a call asks no question, waits for other runs of them, and has a time limit."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.packages import dpkg, policy, refusals
from agent.domain.near import near
from agent.errors import DeployError
from agent.system.process import Completed, passed_on, run

QUERY_TIMEOUT_S = 60.0
RUN_TIMEOUT_S = 1500.0
"""Below a deploy's default of 30 minutes, so that this limit ends a slow run, and its reason is reported."""

LOCK_TIMEOUT_S = 600
"""An unattended upgrade holds apt's locks for minutes."""

LOCK_POLL_S = 1.0

SETTINGS = (Path("/etc/apt"), Path("/var/lib/apt/lists"))
"""The folders that decide what apt would install."""

_FRONTEND_LOCK = Path("/var/lib/dpkg/lock-frontend")
_JOURNAL = Path("/var/lib/dpkg/updates")

_APT_GET = (
    "apt-get",
    "--quiet",
    "--yes",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=Dpkg::Use-Pty=0",
    f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
)
"""The start of each command. A configuration file that somebody edited stays; dpkg puts the package's own beside it, as
.dpkg-dist."""

_SILENCE = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFFOLD": "1",
    "LC_ALL": "C.UTF-8",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STEM = 4
"""The letters that the nearest name has to begin with: they leave a few hundred names of a hundred thousand."""
_OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes; dpkg-query writes about 200 a package, apt-cache policy 300, a dry run 100."""

_GOES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_COMES = re.compile(r"^Inst (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DryRun:
    """The packages that a run of apt-get would remove, and those that it would install."""

    goes: Collection[str]
    comes: Collection[str]

    @classmethod
    def parsed(cls, output: str) -> DryRun:
        return cls(sorted(set(_GOES.findall(output))), sorted(set(_COMES.findall(output))))


def unnamed(packages: Iterable[str], named: Iterable[str]) -> list[str]:
    """The packages that are not among ``named``. Architectures are not compared."""
    plain = {name.partition(":")[0] for name in named}
    return [name for name in packages if name.partition(":")[0] not in plain]


def query() -> dpkg.Packages:
    """Ask dpkg for the packages on the host. Raises DeployError."""
    done = _run(dpkg.QUERY)
    if not done.ok:
        raise DeployError(f"{dpkg.QUERY[0]} failed: {done.complaint}")
    return dpkg.parsed(_output(done))


def candidates(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The versions that could be installed, by name: empty for a virtual package. Unknown names are left out."""
    found = policy.versions(ask([*policy.QUERY, "--", *names])) if names else {}
    # apt prints packages of the host's own architecture without it, and does not print those it does not know.
    return {name: found[key] for name in names for key in (name, name.partition(":")[0]) if key in found}


def nearest(name: str) -> str:
    """The name of the package that is spelt most like ``name``; empty where none is close."""
    stem = name.partition(":")[0]
    known = ask(["apt-cache", "pkgnames", stem[:_STEM]]).split()
    return next(iter(near(stem, known)), "")


def offers(names: Collection[str]) -> str:
    """The output of ``apt-cache policy`` for the sources and for these packages."""
    return ask(policy.QUERY) + (ask([*policy.QUERY, "--", *names]) if names else "")


def automatic(names: Collection[str]) -> Sequence[str]:
    """The packages among ``names`` that were only installed because others need them."""
    return ask(["apt-mark", "showauto", "--", *names]).split() if names else ()


def ask(argv: Sequence[str]) -> str:
    """The output of a command that only reads; empty where it fails."""
    return _output(_run(argv))


def require(argv: Sequence[str], timeout_s: float = QUERY_TIMEOUT_S, more: Mapping[str, str] | None = None) -> str:
    """Run a command, with ``more`` in its environment, and return its output. Raises DeployError with the command's own
    words on why it failed."""
    done = _run(argv, timeout_s, more)
    if done.timed_out:
        raise DeployError(f"apt was not done after {timeout_s:.0f} s", hint="the next cycle finishes what it began")
    output, error = _output(done), done.error.decode(errors="replace")
    if not done.ok:
        found = refusals.complaints(output, error)
        raise DeployError("; ".join(found) or done.complaint, hint=refusals.remedy(output, error))
    return output


def mend() -> None:
    """Have dpkg and apt finish what a kill cut off, after other runs of them have ended. Raises DeployError.

    A package that was half unpacked is unpacked anew. A package that was never unpacked may be one that an unpacked
    one needs, so apt may fetch it. Nothing is removed.
    """
    wait_for(_FRONTEND_LOCK)
    packages = query()
    if not any(_JOURNAL.iterdir()) and not packages.interrupted:
        return
    # Packages whose scripts fail again are left to apt's own judgement.
    _run(["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"], RUN_TIMEOUT_S)
    if damaged := {found.name: found.version for found in packages.by_name.values() if found.damaged}:
        offered = candidates(list(damaged))
        names = [f"{name}={old}" if old in offered.get(name, ()) else name for name, old in damaged.items()]
        _unless_it_removes("--reinstall", "install", "--", *names)
    if query().interrupted:
        _unless_it_removes("--fix-broken", "install")


def _unless_it_removes(*arguments: str) -> None:
    with suppress(DeployError):
        if not dry_run(*arguments).goes:
            apt_get(*arguments)


def command(*arguments: str) -> tuple[str, ...]:
    """The command line of apt-get with these arguments, unattended."""
    return (*_APT_GET, *arguments)


def apt_get(*arguments: str, more: Mapping[str, str] | None = None, timeout_s: float = RUN_TIMEOUT_S) -> None:
    """Run apt-get, with ``more`` in its environment. Raises DeployError where it fails."""
    require(command(*arguments), timeout_s, more)


def dry_run(*arguments: str) -> DryRun:
    """Find out what ``apt_get`` would install and remove. Raises DeployError where apt would refuse."""
    return DryRun.parsed(require(command("--simulate", *arguments)))


def mark(word: str, names: Iterable[str]) -> None:
    """Run ``apt-mark`` for packages; ``word``: hold, unhold, auto or manual. Raises DeployError."""
    wait_for(_FRONTEND_LOCK)
    require(["apt-mark", word, "--", *names])


def wait_for(lock: Path) -> None:
    """Wait until no program holds ``lock``, a record lock (fcntl(2)). Raises DeployError after ``LOCK_TIMEOUT_S``.

    apt does not wait for the lock of its lists, and dpkg waits for none.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another program has held {lock} for {LOCK_TIMEOUT_S} s"
                    raise DeployError(message, hint=f"`fuser {lock}` names it") from None
            time.sleep(LOCK_POLL_S)
    finally:
        os.close(descriptor)


def environment() -> dict[str, str]:
    """The environment of apt and maintainer scripts, which keeps them from asking questions."""
    return {"PATH": _PATH, **passed_on(os.environ), **_SILENCE}


def _run(argv: Sequence[str], timeout_s: float = QUERY_TIMEOUT_S, more: Mapping[str, str] | None = None) -> Completed:
    env = {**environment(), **(more or {})}
    return run(argv, timeout_s=timeout_s, output_limit=_OUTPUT_LIMIT, env=env)


def _output(done: Completed) -> str:
    return done.output.decode(errors="replace")
