"""A deploy's packages change together, in one run of apt that removes nothing unnamed.

A run mends what an earlier one left half done, fetches package lists only where it needs them, and is tried dry first:
a package that cannot be had keeps no other from being installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from agent.deploys.packages import apt, dpkg, holds
from agent.errors import Consequence, DeployError
from agent.system.process import run

_FETCH_FAILED = "Unable to fetch some archives"


@dataclass(slots=True)
class Transaction:
    """The packages of one deploy that change. The first job that runs carries out all that may run."""

    recommends: bool | None
    update_s: int
    members: Callable[[], Sequence[dpkg.Job]] = tuple
    """The jobs that may run; known only when the first one does."""
    upgrades: Callable[[dpkg.Packages], Sequence[dpkg.Job]] = lambda _packages: ()
    """Looks for upgrades in the lists as they are then."""
    planned: Collection[str] = frozenset()
    """Names that have a job, be it one that may run or not."""
    _errors: dict[str, DeployError | None] = field(default_factory=dict)
    _unread: str = ""
    """Why package lists could not be fetched."""

    def settle(self, job: dpkg.Job) -> None:
        """Carries out ``job``, with all others unless they are. Raises DeployError with why it is not as wanted."""
        if job.name not in self._errors:
            self._begin(self.members() or (job,), renew=False)
        if error := self._errors[job.name]:
            raise error

    def renew(self) -> None:
        """Fetches the lists whatever their age, and carries out all jobs and what upgrades nobody could plan before.
        Raises DeployError for lists that could not be had and for those upgrades."""
        jobs = self.members()
        self._begin(jobs, renew=True)
        if self._unread:
            raise DeployError(f"package lists could not be fetched: {self._unread}")
        known = {job.name for job in jobs}
        for name, error in self._errors.items():
            if error is not None and name not in known:
                raise DeployError(f"{name}: {error.message}", hint=error.hint, consequence=error.consequence)

    def _begin(self, jobs: Sequence[dpkg.Job], *, renew: bool) -> None:
        try:
            self._run(jobs, renew=renew)
        except DeployError as failure:
            # What kept one of them from being tried kept all of them.
            self._errors.update((job.name, self._errors.get(job.name) or failure) for job in jobs)
            if not jobs:
                raise

    def _run(self, jobs: Sequence[dpkg.Job], *, renew: bool) -> None:
        self._errors.update((job.name, refused(job)) for job in jobs)
        jobs = [job for job in jobs if self._errors[job.name] is None]
        apt.mend()
        fresh = renew or not self._suffice(jobs)
        if fresh:
            self._unread = apt.refresh()
            jobs = self._looked_at_anew(jobs)
        self._refuse_unknown([job.name for job in jobs if job.install and not job.remove])
        jobs = [job for job in jobs if not self._errors.get(job.name)]
        lifted = [job.name for job in jobs if job.hold is not None and job.found is not None and job.found.held]
        try:
            if lifted:
                apt.mark("unhold", lifted)
            self._carry_out([job for job in jobs if job.install], fresh=fresh)
        finally:
            packages = _held(apt.query(), [job.name for job in jobs if job.hold])
            holds.disclaim([name for name in holds.ours() if not _is_held(packages, name)])
        for job in jobs:
            if not self._errors.get(job.name) and not dpkg.done(packages, job):
                self._errors[job.name] = DeployError(f"apt ended well, but did not {job.text}")

    def _suffice(self, jobs: Sequence[dpkg.Job]) -> bool:
        """Whether the package lists are new enough, and have what is to be installed."""
        wanted = [job for job in jobs if job.install and not job.remove]
        return not wanted or (apt.lists_age_s() <= self.update_s and known(wanted))

    def _refuse_unknown(self, names: Sequence[str]) -> None:
        """apt-get takes a name that it does not know for a regular expression, and installs all that match."""
        offered = apt.candidates(names) if names else {}
        for name in names:
            if name not in offered:
                near = apt.nearest(name)
                hint = f"package lists could not be fetched: {self._unread}" if self._unread else ""
                self._errors[name] = DeployError(
                    f"apt knows no package {name}", hint=hint or (f"did you mean {near}?" if near else "")
                )

    def _looked_at_anew(self, jobs: Sequence[dpkg.Job]) -> list[dpkg.Job]:
        """``jobs`` with the upgrades that are in the lists now."""
        found = {job.name: job for job in self.upgrades(apt.query())}
        current = [replace(job, version=found[job.name].version) if job.name in found else job for job in jobs]
        more = [job for name, job in found.items() if name not in self.planned]
        self._errors.update((job.name, None) for job in more)
        return [*current, *more]

    def _carry_out(self, jobs: Sequence[dpkg.Job], *, fresh: bool) -> None:
        jobs = self._possible((), jobs)
        automatic = apt.automatic([job.name for job in jobs if job.upgrade])
        if not jobs:
            return
        failure = self._apt(jobs)
        if failure is not None and _FETCH_FAILED in failure.message and not fresh:
            apt.refresh()  # The lists name a version that the mirror has replaced since.
            failure = self._apt(jobs)
        if failure is not None:
            failure = self._without_the_guilty(jobs, failure)
        if automatic:
            apt.mark("auto", automatic)  # apt takes whatever it is told by name for wanted by a person
        packages = apt.query()
        for job in jobs:
            if failure is not None and not dpkg.done(packages, replace(job, hold=None)):
                self._errors[job.name] = _share(failure, job)

    def _without_the_guilty(self, jobs: Sequence[dpkg.Job], failure: DeployError) -> DeployError:
        """One package that fails must not keep others away: those that apt broke off before are tried once more."""
        apt.mend()
        packages = apt.query()
        innocent = [
            job for job in jobs if not dpkg.done(packages, replace(job, hold=None)) and _share(failure, job) is failure
        ]
        if not innocent or len(innocent) == len(jobs):
            return failure
        again = self._apt(innocent)
        return failure if again is None else DeployError(f"{failure.message}; {again.message}")

    def _possible(self, before: Sequence[dpkg.Job], jobs: Sequence[dpkg.Job]) -> list[dpkg.Job]:
        """Those of ``jobs`` that apt takes together with ``before``, found by halves. The others have errors then."""
        if not jobs:
            return []
        refusal = self._refusal([*before, *jobs])
        if refusal is None:
            return list(jobs)
        if len(jobs) == 1:
            self._errors[jobs[0].name] = refusal
            return []
        half = len(jobs) // 2
        first = self._possible(before, jobs[:half])
        return [*first, *self._possible([*before, *first], jobs[half:])]

    def _refusal(self, jobs: Sequence[dpkg.Job]) -> DeployError | None:
        """Why apt, or we, would not do this, found out by a dry run."""
        argv = [*apt.APT_GET, "--simulate", *self._arguments(jobs)]
        dry = run(argv, timeout_s=apt.QUERY_TIMEOUT_S, env=apt.environment())
        if not dry.ok:
            reason = apt.failure(dry)
            hint = f"package lists could not be fetched: {self._unread}" if self._unread else reason.hint
            return DeployError(reason.message, hint=hint)
        extra = apt.removed_besides(dry.output.decode(errors="replace"), [job.name for job in jobs if job.remove])
        if not extra:
            return None
        return DeployError(
            f"apt would also remove {', '.join(extra)}",
            hint="list them under absent, if they may go",
            consequence=Consequence.STALL,
        )

    def _apt(self, jobs: Sequence[dpkg.Job]) -> DeployError | None:
        done = apt.apt_get(self._arguments(jobs))
        return None if done.ok else apt.failure(done)

    def _arguments(self, jobs: Sequence[dpkg.Job]) -> list[str]:
        options = []
        if self.recommends is not None:
            options.append("--install-recommends" if self.recommends else "--no-install-recommends")
        if any(job.version and not job.upgrade for job in jobs):
            options.append("--allow-downgrades")
        return [*options, "install", "--", *(job.argument for job in jobs)]


def refused(job: dpkg.Job) -> DeployError | None:
    """Why ``job`` is refused, where an administrator told the host to leave the package as it is."""
    if not job.held:
        return None
    return DeployError(
        f"{job.name} is held on this host",
        hint=f"`apt-mark unhold {job.name}` there, or take it out of the inventory",
        consequence=Consequence.STALL,
    )


def known(jobs: Sequence[dpkg.Job]) -> bool:
    """Whether the package lists have everything that ``jobs`` would install."""
    versions = apt.candidates([job.name for job in jobs])
    return all(job.name in versions and (job.version is None or job.version in versions[job.name]) for job in jobs)


def _held(packages: dpkg.Packages, names: Sequence[str]) -> dpkg.Packages:
    """Holds those of ``names`` that are on the host, and returns what is there then."""
    due = [name for name in names if name in packages.by_name and not _is_held(packages, name)]
    if not due:
        return packages
    holds.claim(due)
    apt.mark("hold", due)
    return apt.query()


def _is_held(packages: dpkg.Packages, name: str) -> bool:
    installed = packages.by_name.get(name)
    return installed is not None and installed.held


def _share(failure: DeployError, job: dpkg.Job) -> DeployError:
    """The part of ``failure`` that names the job's package; all of it where none does."""
    name = job.name.partition(":")[0]
    own = [part for part in failure.message.split("; ") if _names(part, name)]
    return DeployError("; ".join(own), hint=failure.hint) if own else failure


def _names(complaint: str, package: str) -> bool:
    return re.search(rf"(?<![\w+.-]){re.escape(package)}(?![a-z0-9+-])", complaint) is not None
