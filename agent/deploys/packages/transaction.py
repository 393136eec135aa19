"""One run of apt that installs and removes packages together, and takes nothing along that nobody named.

It mends what an earlier run left half done, and fetches package lists only where it needs them. Where packages go, or
apt refuses, dry runs find what apt takes: a package that cannot be had, or has to stay, keeps no other from changing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.deploys.packages import apt, dpkg, holds, lists
from agent.deploys.packages.changes import PackageChange
from agent.deploys.packages.dpkg import Packages
from agent.errors import Consequence, DeployError

_FETCH_FAILED = "Unable to fetch some archives"


@dataclass(slots=True)
class Transaction:
    """Packages that change together. ``recommends``: whether what they recommend comes along; None: as apt is set.
    ``update_s``: how old package lists may be. ``options`` of apt-get, and ``environment``, are for all its runs.

    ``refusals``: by name, why some cannot change; filled by ``run``.
    """

    recommends: bool | None = None
    update_s: float = float("inf")
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    upgrades: Callable[[Packages], Sequence[PackageChange]] = lambda _packages: ()
    """Looks for upgrades in the lists as they are then."""
    planned: Collection[str] = frozenset()
    """Names that have a change, be it one that may run or not."""
    members: Callable[[], Sequence[PackageChange]] = lambda: ()
    """All changes that may run; known only when the first one does."""
    refusals: dict[str, DeployError | None] = field(default_factory=dict)
    unread: str = ""
    """The reason why package lists could not be fetched."""

    def settle(self, change: PackageChange) -> None:
        """Carries out ``change``, with all ``members`` unless they are. Raises DeployError with why it is not as
        wanted."""
        if change.name not in self.refusals:
            self.run(self.members() or (change,))
        if error := self.refusals[change.name]:
            raise error

    def renew(self) -> None:
        """Fetches the lists whatever their age, and carries out all changes and what upgrades nobody could plan before.
        Raises DeployError for lists that could not be had and for those upgrades."""
        changes = self.members()
        self.run(changes, renew=True)
        if self.unread:
            raise DeployError(f"package lists could not be fetched: {self.unread}")
        known = {change.name for change in changes}
        for name, error in self.refusals.items():
            if error is not None and name not in known:
                raise DeployError(f"{name}: {error.message}", hint=error.hint, consequence=error.consequence)

    def run(self, changes: Sequence[PackageChange], *, renew: bool = False) -> None:
        """Carries out what can be. ``renew``: with package lists that are fetched now, and the upgrades in them.

        Raises DeployError only where nothing was to change.
        """
        try:
            self._run(changes, renew=renew)
        except DeployError as failure:
            # What kept one of them from being tried kept all of them.
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
            holds.disclaim([name for name in holds.ours() if not _is_held(packages, name)])
        for change in self._left(changes):
            if not change.done(packages):
                self.refusals[change.name] = DeployError(f"apt ended well, but did not {change.text}")

    def _left(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        return [change for change in changes if not self.refusals.get(change.name)]

    def _refuse_unknown(self, names: Sequence[str]) -> None:
        """apt-get takes a name that it does not know for a regular expression, and installs all that match."""
        for name in names:
            near = "" if self.unread else apt.nearest(name)
            hint = f"did you mean {near}?" if near else self._unread_hint
            self.refusals[name] = DeployError(f"apt knows no package {name}", hint=hint)

    def _looked_at_anew(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        """``changes`` with the upgrades that are in the lists now."""
        found = {change.name: change for change in self.upgrades(apt.query())}
        current = [replace(each, version=found[each.name].version) if each.name in found else each for each in changes]
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
            apt.mark("auto", automatic)  # apt takes whatever it is told by name for wanted by a person
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
        """One package that fails must not keep others away: those that apt broke off before are tried once more."""
        apt.mend()
        innocent = [change for change in _undone(changes) if _share(failure, change) is failure]
        if not innocent or len(innocent) == len(changes):
            return failure
        again = self._apt(innocent)
        return failure if again is None else DeployError(f"{failure.message}; {again.message}")

    def possible(self, changes: Sequence[PackageChange]) -> list[PackageChange]:
        """The changes that apt takes together. The others have refusals then. A package that goes may take along
        another one that goes, as long as that one is not refused."""
        found = list(changes)
        while len(kept := self._by_halves((), found, [change.name for change in found if change.remove])) < len(found):
            found = kept
        return kept

    def _by_halves(
        self, before: Sequence[PackageChange], changes: Sequence[PackageChange], going: Collection[str]
    ) -> list[PackageChange]:
        """The changes that apt takes together with ``before``."""
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
        """The reason why apt, or the agent, would not do this, found by a dry run; None where there is none."""
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
        """The arguments of apt-get."""
        options = [*self.options]
        if self.recommends is not None:
            options.append("--install-recommends" if self.recommends else "--no-install-recommends")
        if any(change.version and not change.upgrade for change in changes):
            options.append("--allow-downgrades")
        return [*options, "install", "--", *(change.argument for change in changes)]


def refused(change: PackageChange) -> DeployError | None:
    """A refusal where an administrator told the host to leave the package as it is; else None."""
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
    """Holds those of ``names`` that are on the host, and returns what is there then."""
    due = [name for name in names if name in packages.by_name and not _is_held(packages, name)]
    if not due:
        return packages
    holds.claim(due)
    apt.mark("hold", due)
    return apt.query()


def _is_held(packages: Packages, name: str) -> bool:
    return name in packages.by_name and packages.by_name[name].held


def _share(failure: DeployError, change: PackageChange) -> DeployError:
    """The part of ``failure`` that names the change's package; all of it where none does."""
    name = change.name.partition(":")[0]
    own = [part for part in failure.message.split("; ") if _names(part, name)]
    return DeployError("; ".join(own), hint=failure.hint) if own else failure


def _names(complaint: str, package: str) -> bool:
    return re.search(rf"(?<![\w+.-]){re.escape(package)}(?![a-z0-9+-])", complaint) is not None
