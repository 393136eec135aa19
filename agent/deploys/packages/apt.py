"""apt, unattended: a deploy's packages change together in one run, which asks nothing and removes nothing unnamed.

A run mends what an earlier one left half done, fetches package lists only where it needs them, and is tried dry first:
a package that cannot be had keeps no other from being installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.deploys.packages import dpkg, policy
from agent.errors import Consequence, DeployError
from agent.system.process import Completed, run

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
LOCK_POLL_S = 1.0
_OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes; dpkg-query writes about 100 a package."""

_PASSED_ON = ("PATH", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

_REMOVAL = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_COMPLAINT = re.compile(r"^(?:E: |dpkg: error ).*", re.MULTILINE)
_FETCH_FAILED = "Unable to fetch some archives"


@dataclass(slots=True)
class Transaction:
    """The packages of one deploy that change. The first job that runs carries out all that may run."""

    recommends: bool | None
    update_s: int
    members: Callable[[], Sequence[dpkg.Job]] = tuple
    """The jobs that may run; known only when the first one does."""
    _errors: dict[dpkg.Job, DeployError | None] = field(default_factory=dict)

    def settle(self, job: dpkg.Job) -> None:
        """Carries out ``job``, with all others unless they are. Raises DeployError with why it is not as wanted."""
        if job not in self._errors:
            jobs = self.members() or (job,)
            try:
                self._run(jobs)
            except DeployError as failure:
                # What kept one of them from being tried kept all of them.
                self._errors.update((each, self._errors.get(each) or failure) for each in jobs)
        if error := self._errors[job]:
            raise error

    def _run(self, jobs: Sequence[dpkg.Job]) -> None:
        self._errors.update((job, held(job)) for job in jobs)
        jobs = [job for job in jobs if self._errors[job] is None]
        mend()
        fresh = self._freshened(jobs)
        jobs = self._possible(jobs)
        if not jobs:
            return
        failure = self._apt(jobs)
        if failure is not None and _FETCH_FAILED in failure.message and not fresh:
            refresh()  # The lists name a version that the mirror has replaced since.
            failure = self._apt(jobs)
        packages = query()
        for job in jobs:
            if not dpkg.done(packages, job):
                self._errors[job] = failure or DeployError(f"apt ended well, but did not {job.text}")

    def _freshened(self, jobs: Sequence[dpkg.Job]) -> bool:
        wanted = [job for job in jobs if not job.remove]
        if not wanted or (lists_age_s() <= self.update_s and known(wanted)):
            return False
        refresh()
        return True

    def _possible(self, jobs: Sequence[dpkg.Job]) -> Sequence[dpkg.Job]:
        """``jobs``, or where apt refuses them together, those that it takes one after the other."""
        if not jobs or self._refusal(jobs) is None:
            return jobs
        possible: list[dpkg.Job] = []
        for job in jobs:
            self._errors[job] = self._refusal([*possible, job])
            if self._errors[job] is None:
                possible.append(job)
        return possible

    def _refusal(self, jobs: Sequence[dpkg.Job]) -> DeployError | None:
        """Why apt, or we, would not do this, found out by a dry run."""
        dry = run([*_APT_GET, "--simulate", *self._arguments(jobs)], timeout_s=QUERY_TIMEOUT_S, env=environment())
        if not dry.ok:
            return _failure(dry)
        extra = removed_besides(dry.output.decode(errors="replace"), [job.name for job in jobs if job.remove])
        if not extra:
            return None
        return DeployError(
            f"apt would also remove {', '.join(extra)}",
            hint="list them under absent, if they may go",
            consequence=Consequence.STALL,
        )

    def _apt(self, jobs: Sequence[dpkg.Job]) -> DeployError | None:
        done = run([*_APT_GET, *self._arguments(jobs)], timeout_s=RUN_TIMEOUT_S, env=environment())
        return None if done.ok else _failure(done)

    def _arguments(self, jobs: Sequence[dpkg.Job]) -> list[str]:
        options = []
        if self.recommends is not None:
            options.append("--install-recommends" if self.recommends else "--no-install-recommends")
        if any(job.version for job in jobs):
            options.append("--allow-downgrades")
        return [*options, "install", "--", *(job.argument for job in jobs)]


def held(job: dpkg.Job) -> DeployError | None:
    """Why ``job`` is refused, where an administrator told the host to leave the package as it is."""
    if not job.held:
        return None
    return DeployError(
        f"{job.name} is held on this host",
        hint=f"`apt-mark unhold {job.name}` there, or take it out of the inventory",
        consequence=Consequence.STALL,
    )


def removed_besides(dry_run: str, named: Collection[str]) -> list[str]:
    """Packages that a dry run says would be removed although nobody named them."""
    plain = {name.partition(":")[0] for name in named}
    return sorted({name for name in _REMOVAL.findall(dry_run) if name.partition(":")[0] not in plain})


def known(jobs: Sequence[dpkg.Job]) -> bool:
    """Whether the package lists have everything that ``jobs`` would install."""
    versions = candidates([job.name for job in jobs])
    return all(job.name in versions and (job.version is None or job.version in versions[job.name]) for job in jobs)


def candidates(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package; unknown names are left out."""
    completed = run([*policy.QUERY, "--", *names], timeout_s=QUERY_TIMEOUT_S, env=environment())
    found = policy.versions(completed.output.decode(errors="replace"))
    # apt prints packages of the host's own architecture without it, and does not print those it does not know.
    return {name: found[key] for name in names for key in (name, name.partition(":")[0]) if key in found}


def query() -> dpkg.Packages:
    """What is on the host now. Raises DeployError."""
    completed = run(dpkg.QUERY, timeout_s=QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT)
    if not completed.ok:
        raise DeployError(f"dpkg-query failed: {completed.complaint}")
    return dpkg.parsed(completed.output.decode(errors="replace"))


def mend() -> None:
    """Lets dpkg finish what a kill cut off, once nobody else is at it. Raises DeployError."""
    wait_for(_FRONTEND_LOCK)
    if any(_JOURNAL.iterdir()) or query().interrupted:
        # Packages whose scripts fail again are left to apt's own judgement.
        run(
            ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"],
            timeout_s=RUN_TIMEOUT_S,
            env=environment(),
        )


def refresh() -> None:
    """Fetches the package lists. Where some cannot be had, the others count; what is missing then shows by itself."""
    wait_for(_LISTS_LOCK)
    run([*_APT_GET, "update"], timeout_s=REFRESH_TIMEOUT_S, env=environment())


def lists_age_s() -> float:
    """Seconds since package lists were last fetched; many where they never were."""
    return time.time() - max((folder.stat().st_mtime for folder in _LISTS if folder.exists()), default=0.0)


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


def _failure(completed: Completed) -> DeployError:
    if completed.timed_out:
        return DeployError(
            f"apt was not done after {RUN_TIMEOUT_S:.0f} s", hint="the next cycle finishes what it began"
        )
    complaints = _COMPLAINT.findall((completed.output + b"\n" + completed.error).decode(errors="replace"))
    return DeployError("; ".join(dict.fromkeys(complaints)) or completed.complaint)
