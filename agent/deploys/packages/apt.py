"""apt and dpkg as programs, unattended: each call asks nothing, waits for whoever is at it, and ends in time."""

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
"""Below a deploy's default of 30 minutes, so that the reason is ours to tell."""

LOCK_TIMEOUT_S = 600
"""An unattended upgrade holds apt's locks for minutes."""

LOCK_POLL_S = 1.0

SETTINGS = (Path("/etc/apt"), Path("/var/lib/apt/lists"))
"""What apt goes by when it is asked what could be installed."""

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
"""A configuration file that somebody edited stays; the package's own goes beside it as .dpkg-dist."""

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
"""Letters that the nearest name has in common: with them a hundred thousand names are a few hundred."""
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
    """The packages that are not among ``named``. Architectures do not count."""
    plain = {name.partition(":")[0] for name in named}
    return [name for name in packages if name.partition(":")[0] not in plain]


def query() -> dpkg.Packages:
    """Ask dpkg for the packages on the host. Raises DeployError."""
    done = _run(dpkg.QUERY)
    if not done.ok:
        raise DeployError(f"{dpkg.QUERY[0]} failed: {done.complaint}")
    return dpkg.parsed(_output(done))


def candidates(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package; unknown names are left out."""
    found = policy.versions(ask([*policy.QUERY, "--", *names])) if names else {}
    # apt prints packages of the host's own architecture without it, and does not print those it does not know.
    return {name: found[key] for name in names for key in (name, name.partition(":")[0]) if key in found}


def nearest(name: str) -> str:
    """The name of a package that is spelt much like ``name``; empty for none."""
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
    """Run a command, with ``more`` in its environment, and return its output. Raises DeployError with the reason why it
    failed, in its own words."""
    done = _run(argv, timeout_s, more)
    if done.timed_out:
        raise DeployError(f"apt was not done after {timeout_s:.0f} s", hint="the next cycle finishes what it began")
    output, error = _output(done), done.error.decode(errors="replace")
    if not done.ok:
        found = refusals.complaints(output, error)
        raise DeployError("; ".join(found) or done.complaint, hint=refusals.remedy(output, error))
    return output


def mend() -> None:
    """Lets dpkg and apt finish what a kill cut off, once nobody else is at it. Raises DeployError.

    What was half unpacked is unpacked anew, and what was never unpacked may be needed by what was, so apt may fetch
    it; it removes nothing.
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
    """The command of a run of apt-get that asks nothing."""
    return (*_APT_GET, *arguments)


def apt_get(*arguments: str, more: Mapping[str, str] | None = None, timeout_s: float = RUN_TIMEOUT_S) -> None:
    """Run apt-get, with ``more`` in its environment. Raises DeployError where it fails."""
    require(command(*arguments), timeout_s, more)


def dry_run(*arguments: str) -> DryRun:
    """Find out what ``apt_get`` would do. Raises DeployError where apt would refuse."""
    return DryRun.parsed(require(command("--simulate", *arguments)))


def mark(word: str, names: Iterable[str]) -> None:
    """``apt-mark word``: hold, unhold, auto, manual. Raises DeployError."""
    wait_for(_FRONTEND_LOCK)
    require(["apt-mark", word, "--", *names])


def wait_for(lock: Path) -> None:
    """Returns when nobody holds ``lock``, which is a record lock (fcntl(2)). Raises DeployError.

    apt's own waiting does not cover its lists, dpkg's does not exist.
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
    """The environment of apt and maintainer scripts: nothing in it leads to a question."""
    return {"PATH": _PATH, **passed_on(os.environ), **_SILENCE}


def _run(argv: Sequence[str], timeout_s: float = QUERY_TIMEOUT_S, more: Mapping[str, str] | None = None) -> Completed:
    env = {**environment(), **(more or {})}
    return run(argv, timeout_s=timeout_s, output_limit=_OUTPUT_LIMIT, env=env)


def _output(done: Completed) -> str:
    return done.output.decode(errors="replace")
