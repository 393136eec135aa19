"""apt and dpkg as programs, unattended: each call asks nothing, waits for whoever is at it, and ends in time.

What is done to several packages together is in ``transaction``.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys.packages import dpkg, policy, refusals
from agent.errors import DeployError
from agent.system.process import Completed, run

SOURCES = "/etc/apt/sources.list.d"
_KEYRINGS = "/etc/apt/keyrings"

QUERY_TIMEOUT_S = 60.0
REFRESH_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 1500.0
"""Below a deploy's default of 30 minutes, so that the reason is ours to tell."""

LOCK_TIMEOUT_S = 600
"""An unattended upgrade holds apt's locks for minutes."""

_FRONTEND_LOCK = Path("/var/lib/dpkg/lock-frontend")
_LISTS_LOCK = Path("/var/lib/apt/lists/lock")
_LISTS = (Path("/var/lib/apt/lists"), Path("/var/lib/apt/lists/partial"))
"""``partial`` is written to by every update, also by one that finds nothing new."""
_JOURNAL = Path("/var/lib/dpkg/updates")

APT_GET = (
    "apt-get",
    "--quiet",
    "--yes",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=Dpkg::Use-Pty=0",
    f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
)
"""A configuration file that somebody edited stays; the package's own goes beside it as .dpkg-dist."""

_STRICT = "--option=APT::Update::Error-Mode=any"
"""Without it apt-get update ends well when servers could not be reached."""

_SILENCE = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFFOLD": "1",
    "LC_ALL": "C.UTF-8",
}
_STEM = 4
"""Letters that the nearest name has in common: with them a hundred thousand names are a few hundred."""
LOCK_POLL_S = 1.0
_OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes; dpkg-query writes about 100 a package, apt-cache policy 300."""

_PASSED_ON = ("PATH", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

_REMOVAL = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)


def query() -> dpkg.Packages:
    """What is on the host now. Raises DeployError."""
    return dpkg.parsed(_asked(dpkg.QUERY))


def candidates(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package; unknown names are left out."""
    found = policy.versions(_told([*policy.QUERY, "--", *names]))
    # apt prints packages of the host's own architecture without it, and does not print those it does not know.
    return {name: found[key] for name in names for key in (name, name.partition(":")[0]) if key in found}


def nearest(name: str) -> str:
    """What apt knows that is called much like ``name``; empty for nothing."""
    stem = name.partition(":")[0]
    known = _told(["apt-cache", "pkgnames", stem[:_STEM]]).split()
    return next(iter(difflib.get_close_matches(stem, known, 1)), "")


def offers(names: Collection[str]) -> str:
    """What ``apt-cache policy`` says of the sources and of these packages."""
    return _told(policy.QUERY) + (_told([*policy.QUERY, "--", *names]) if names else "")


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
    _run(["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"])
    if damaged := packages.damaged:
        offered = candidates(list(damaged))
        names = [f"{name}={old}" if old in offered.get(name, ()) else name for name, old in damaged.items()]
        _unless_it_removes("--reinstall", "install", "--", *names)
    if query().interrupted:
        _unless_it_removes("--fix-broken", "install")


def _unless_it_removes(*arguments: str) -> None:
    dry = run([*APT_GET, "--simulate", *arguments], timeout_s=QUERY_TIMEOUT_S, env=environment())
    if dry.ok and not removed_besides(dry.output.decode(errors="replace"), ()):
        _run([*APT_GET, *arguments])


def apt_get(arguments: Sequence[str]) -> Completed:
    """One run of apt-get that changes packages."""
    return _run([*APT_GET, *arguments])


def refresh() -> str:
    """Fetches the package lists. Where some cannot be had, the others count; returns why, empty where all were had."""
    wait_for(_LISTS_LOCK)
    done = run([*APT_GET, _STRICT, "update"], timeout_s=REFRESH_TIMEOUT_S, env=environment())
    return "" if done.ok else failure(done).message


def fetch(sources: Path) -> None:
    """Fetches the lists of the repositories in one sources file alone. Raises DeployError where they cannot be had.

    Lists that are there already, and may have been checked with another key, do not count any more.
    """
    wait_for(_LISTS_LOCK)
    for file in listed().get(f"{sources}", ()):
        Path(file).unlink(missing_ok=True)
    times = {folder: folder.stat() for folder in _LISTS if folder.exists()}
    only = (f"--option=Dir::Etc::SourceList={sources}", "--option=Dir::Etc::SourceParts=/dev/null")
    keep = "--option=APT::Get::List-Cleanup=0"
    done = run([*APT_GET, _STRICT, *only, keep, "update"], timeout_s=REFRESH_TIMEOUT_S, env=environment())
    for folder, status in times.items():
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))  # the other lists are as old as they were
    if not done.ok:
        raise failure(done)


LISTED = ("apt-get", "indextargets", "--format", "$(SOURCESENTRY)|$(FILENAME)", "Created-By: Packages")
"""Which package lists are there, and by which entry of which sources file; it takes 30 ms."""


def listed() -> Mapping[str, Sequence[str]]:
    """By sources file, the package lists that were fetched for it."""
    return listed_in(_told(LISTED))


def listed_in(output: str) -> Mapping[str, Sequence[str]]:
    """What ``LISTED`` wrote."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        entry, _, file = line.partition("|")
        found.setdefault(entry.rpartition(":")[0], []).append(file)
    return found


def require_sources() -> None:
    """Raises DeployError where apt cannot make sense of all its sources together, such as of one repository that is
    named twice with different keys."""
    completed = run(LISTED, timeout_s=QUERY_TIMEOUT_S, env=environment())
    if not completed.ok:
        raise failure(completed)


def lists_age_s() -> float:
    """Seconds since package lists were last fetched; many where they never were."""
    return time.time() - max((folder.stat().st_mtime for folder in _LISTS if folder.exists()), default=0.0)


def keyring_of(sources: str) -> str:
    """Where the keyring of a repository lies, by its sources file."""
    name = sources.removeprefix(f"{SOURCES}/").removesuffix(".sources")
    return f"{_KEYRINGS}/{name}.asc"


def mark(word: str, names: Iterable[str]) -> None:
    """``apt-mark word``: hold, unhold, auto. Raises DeployError."""
    wait_for(_FRONTEND_LOCK)
    completed = run(["apt-mark", word, "--", *names], timeout_s=QUERY_TIMEOUT_S, env=environment())
    if not completed.ok:
        raise failure(completed)


def automatic(names: Collection[str]) -> Sequence[str]:
    """Those of ``names`` that were only installed because others need them."""
    return _told(["apt-mark", "showauto", "--", *names]).split() if names else ()


def removed_besides(dry_run: str, named: Collection[str]) -> list[str]:
    """Packages that a dry run says would be removed although nobody named them."""
    plain = {name.partition(":")[0] for name in named}
    return sorted({name for name in _REMOVAL.findall(dry_run) if name.partition(":")[0] not in plain})


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
    """What apt and maintainer scripts run in: nothing in it leads to a question."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **passed_on, **_SILENCE}


def failure(completed: Completed) -> DeployError:
    """Why a run of apt did not end well, in its own words."""
    if completed.timed_out:
        return DeployError(
            f"apt was not done after {RUN_TIMEOUT_S:.0f} s", hint="the next cycle finishes what it began"
        )
    output, error = (stream.decode(errors="replace") for stream in (completed.output, completed.error))
    found = refusals.complaints(output, error)
    return DeployError("; ".join(found) or completed.complaint, hint=refusals.remedy(output, error))


def _run(argv: Sequence[str]) -> Completed:
    return run(argv, timeout_s=RUN_TIMEOUT_S, env=environment())


def _asked(argv: Sequence[str]) -> str:
    completed = run(argv, timeout_s=QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT, env=environment())
    if not completed.ok:
        raise DeployError(f"{argv[0]} failed: {completed.complaint}")
    return completed.output.decode(errors="replace")


def _told(argv: Sequence[str]) -> str:
    """What a question is answered with; one that apt does not understand has no answer."""
    completed = run(argv, timeout_s=QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT, env=environment())
    return completed.output.decode(errors="replace")
