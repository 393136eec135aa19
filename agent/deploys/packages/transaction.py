"""One run of apt that installs and removes packages together, and removes none that is not named.

It finishes what an earlier run left half done, and fetches package lists only where it needs them. Where packages are
removed, or apt refuses, dry runs find the changes that apt accepts: so a package that cannot be installed, or has to
stay, does not keep the others from changing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.deploys.packages import apt, dpkg, lists
from agent.deploys.packages.changes import PackageChange
from agent.deploys.packages.dpkg import Packages
from agent.errors import Consequence, DeployError

_FETCH_FAILED = "Unable to fetch some archives"


@dataclass(slots=True)
class Transaction:
    """Packages that change together. ``recommends``: True where recommended packages come along; None: as apt is set.
    ``update_s``: the age in seconds from which package lists are fetched anew. ``options`` of apt-get and
    ``environment`` are for all its runs.

    ``refusals``, filled by ``run``: the reason why a package could not change, by name; None where it could.
    """

    recommends: bool | None = None
    update_s: float = float("inf")
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    upgrades: Callable[[Packages], Sequence[PackageChange]] = lambda _packages: ()
    """Finds the upgrades in the package lists as they are when it is called."""
    planned: Collection[str] = frozenset()
    """The names of the packages that have a change, allowed or not."""
    members: Callable[[], Sequence[PackageChange]] = lambda: ()
    """All changes that are allowed; known only when the first one runs."""
    refusals: dict[str, DeployError | None] = field(default_factory=dict)
    unread: str = ""
    """The reason why package lists could not be fetched; empty where they could, or were not to be."""

    def settle(self, change: PackageChange) -> None:
        """Carry out ``change`` together with all ``members``, if that was not done before. Raises DeployError with the
        reason why the package is not as wanted."""
        if change.name not in self.refusals:
            self.run(self.members() or (change,))
        if error := self.refusals[change.name]:
            raise error

    def renew(self) -> None:
        """Fetch the lists, whatever their age, and carry out all changes and the upgrades that only the new lists have.
        Raises DeployError where lists could not be fetched, or one of those upgrades failed."""
        changes = self.members()
        self.run(changes, renew=True)
        if self.unread:
            raise DeployError(f"package lists could not be fetched: {self.unread}")
        known = {change.name for change in changes}
        for name, error in self.refusals.items():
            if error is not None and name not in known:
                raise DeployError(f"{name}: {error.message}", hint=error.hint, consequence=error.consequence)

    def run(self, changes: Sequence[PackageChange], *, renew: bool = False) -> None:
        """Carry out the changes that are possible, and note the refusals of the others. ``renew``: fetch the package
        lists before, and carry out the upgrades in them as well.

        Raises DeployError only where there were no changes to note it for.
        """
        try:
            self._run(changes, renew=renew)
        except DeployError as failure:
            # The failure kept all of them from being tried.
            self.refusals.update((change.name, self.refusals.get(change.name) or failure) for change in changes)
            if not changes:
                raise

    def _run(self, changes: Sequence[PackageChange], *, renew: bool) -> None:
        self.refusals.update((change.name, refused(change)) for change in changes)
        changes = self._left(changes)
        apt.mend()
        coming = [change for change in changes if change.install and not change.remove]
        offered = apt.candidates([change.name for change in coming])
        fresh = renew or (bool(coming) and (lists.age_s() > self.update_s or not _has_all(offered, coming)))
        if fresh:
            self.unread = lists.refresh()
            changes = self._looked_at_anew(changes)
            offered = apt.candidates([change.name for change in coming])
        self._refuse_unknown([change.name for change in coming if change.name not in offered])
        changes = self._left(changes)
        try:
            if lifted := [change.name for change in changes if change.hold is not None and change.is_held]:
                apt.mark("unhold", lifted)
            self._carry_out([change for change in changes if change.install], fresh=fresh)
        finally:
            packages = _held(apt.query(), [change.name for change in changes if change.hold])
            dpkg.disclaim_holds([name for name in dpkg.our_holds() if not _is_held(packages, name)])
        for change in self._left(changes):
            if not change.done(packages):
                self.refusals[change.name] = DeployError(f"apt ended well, but did not {change.text}")

    def _left(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        return [change for change in changes if not self.refusals.get(change.name)]

    def _refuse_unknown(self, names: Sequence[str]) -> None:
        """Refuse these names. apt-get would take an unknown name for a regular expression, and install all matches."""
        for name in names:
            near = "" if self.unread else apt.nearest(name)
            hint = f"did you mean {near}?" if near else self._unread_hint
            self.refusals[name] = DeployError(f"apt knows no package {name}", hint=hint)

    def _looked_at_anew(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        """``changes`` with the versions of upgrades that are in the lists now, and further upgrades behind them. A
        version that the inventory names stays."""
        found = {change.name: change for change in self.upgrades(apt.query())}
        current = [
            replace(each, version=found[each.name].version) if each.upgrade and each.name in found else each
            for each in changes
        ]
        more = [change for name, change in found.items() if name not in self.planned]
        self.refusals.update((change.name, None) for change in more)
        return [*current, *more]

    def _carry_out(self, changes: Sequence[PackageChange], *, fresh: bool) -> None:
        if not changes:
            return
        automatic = apt.automatic([change.name for change in changes if change.upgrade])
        changes, failure = self._apply_together(changes)
        if failure is not None and _FETCH_FAILED in failure.message and not fresh:
            lists.refresh()  # The lists name a version that the mirror has replaced since.
            failure = self._apt(changes)
        if failure is not None:
            failure = self._without_the_guilty(changes, failure)
        if automatic:
            apt.mark("auto", automatic)  # apt counts a package that it was given by name as wanted by a person
        if failure is not None:
            self.refusals.update((change.name, _share(failure, change)) for change in _undone(changes))

    def _apply_together(self, changes: Sequence[PackageChange]) -> tuple[Sequence[PackageChange], DeployError | None]:
        """Have apt carry out the changes that it accepts together. Return these, and apt's failure. Refuse the others.

        Where no change removes a package, apt runs without a dry run: it refuses before it changes anything.
        """
        failure, before = None, dpkg.status_file()
        if not (removal := any(change.remove for change in changes)):
            failure = self._apt(changes)
            if failure is None or dpkg.status_file() != before:
                return changes, failure
        possible = self.possible(changes)
        if possible and (removal or len(possible) < len(changes)):
            failure = self._apt(possible)
        return possible, failure if possible else None

    def _without_the_guilty(self, changes: Sequence[PackageChange], failure: DeployError) -> DeployError:
        """Try those changes once more that apt did not come to because another package failed. Returns all failures."""
        apt.mend()
        innocent = [change for change in _undone(changes) if _share(failure, change) is failure]
        if not innocent or len(innocent) == len(changes):
            return failure
        again = self._apt(innocent)
        return failure if again is None else DeployError(f"{failure.message}; {again.message}")

    def possible(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        """The changes that apt accepts together; the others have refusals then. The removal of a package may remove
        others that are to be removed as well, as long as none of these is refused."""
        found = list(changes)
        while len(kept := self._by_halves((), found, [change.name for change in found if change.remove])) < len(found):
            found = kept
        return kept

    def _by_halves(
        self, before: Sequence[PackageChange], changes: Sequence[PackageChange], going: Collection[str]
    ) -> list[PackageChange]:
        """The part of ``changes`` that apt accepts together with ``before``; the others have refusals then. ``going``:
        the names of all packages that are to be removed."""
        if not changes:
            return []
        refusal = self.refusal([*before, *changes], going)
        if refusal is None:
            return list(changes)
        if len(changes) == 1:
            self.refusals[changes[0].name] = refusal
            return []
        half = len(changes) // 2
        first = self._by_halves(before, changes[:half], going)
        return [*first, *self._by_halves([*before, *first], changes[half:], going)]

    def refusal(self, changes: Sequence[PackageChange], going: Collection[str]) -> DeployError | None:
        """The reason why apt or the agent refuses these changes, found by a dry run; None where neither does.
        ``going``: the names of the packages that may be removed."""
        try:
            extra = apt.unnamed(apt.dry_run(*self.arguments(changes)).goes, going)
        except DeployError as error:
            return DeployError(error.message, hint=self._unread_hint or error.hint)
        if not extra:
            return None
        return DeployError(
            f"apt would also remove {', '.join(extra)}",
            hint="list them under absent, if they may go",
            consequence=Consequence.STALL,
        )

    @property
    def _unread_hint(self) -> str:
        return f"package lists could not be fetched: {self.unread}" if self.unread else ""

    def _apt(self, changes: Sequence[PackageChange]) -> DeployError | None:
        stay = () if any(change.remove for change in changes) else ("--no-remove",)
        try:
            apt.apt_get(*stay, *self.arguments(changes), more=self.environment)
        except DeployError as failure:
            return failure
        return None

    def arguments(self, changes: Sequence[PackageChange]) -> list[str]:
        """The arguments of apt-get for these changes."""
        options = [*self.options]
        if self.recommends is not None:
            options.append("--install-recommends" if self.recommends else "--no-install-recommends")
        if any(change.version and not change.upgrade for change in changes):
            options.append("--allow-downgrades")
        return [*options, "install", "--", *(change.argument for change in changes)]


def refused(change: PackageChange) -> DeployError | None:
    """The refusal of a package that an administrator holds on the host; None for any other."""
    if not change.refused:
        return None
    return DeployError(
        f"{change.name} is held on this host",
        hint=f"`apt-mark unhold {change.name}` there, or take it out of the inventory",
        consequence=Consequence.STALL,
    )


def _has_all(offered: Mapping[str, Collection[str]], coming: Sequence[PackageChange]) -> bool:
    return all(each.name in offered and each.version in (None, *offered[each.name]) for each in coming)


def _undone(changes: Sequence[PackageChange]) -> list[PackageChange]:
    packages = apt.query()
    return [change for change in changes if not replace(change, hold=None).done(packages)]


def _held(packages: Packages, names: Sequence[str]) -> Packages:
    """Hold those of ``names`` that are on the host. Returns the packages as they are then."""
    due = [name for name in names if name in packages.by_name and not _is_held(packages, name)]
    if not due:
        return packages
    dpkg.claim_holds(due)
    apt.mark("hold", due)
    return apt.query()


def _is_held(packages: Packages, name: str) -> bool:
    return name in packages.by_name and packages.by_name[name].held


def _share(failure: DeployError, change: PackageChange) -> DeployError:
    """The complaints in ``failure`` that name the change's package, as one failure; all of it where none does."""
    name = change.name.partition(":")[0]
    own = [part for part in failure.message.split("; ") if _names(part, name)]
    return DeployError("; ".join(own), hint=failure.hint) if own else failure


def _names(complaint: str, package: str) -> bool:
    return re.search(rf"(?<![\w+.-]){re.escape(package)}(?![a-z0-9+-])", complaint) is not None
