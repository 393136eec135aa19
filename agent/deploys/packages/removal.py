"""apt taking packages away: which of them may go, and with what. Found out by dry runs, which change nothing.

What is not named stays, but for what only those needed that go: dependencies that came along with them. Those go too,
if they were not on the host before the agent; what had been unneeded before stays for whoever left it there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.deploys.packages import apt
from agent.errors import DeployError
from agent.system.process import Completed, run

_OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes; a dry run writes about a hundred for each package, dpkg-query too."""

_KNOWN = (
    "dpkg-query",
    "--show",
    "--showformat=${Package}\\t${Architecture}\\t${db:Status-Abbrev}\\t${Essential}\\t${Protected}\\t${Recommends}\\t.\\n",
)

_FOR_GOOD = {"SUDO_FORCE_REMOVE": "yes"}
"""Where root has no password, sudo refuses to go, lest nobody is root any more. When the host is given back as it was
before sudo came, whoever was root then is root again."""

_ABSENT = "n"
_CONFIGURATION = "c"
"""Second letter of db:Status-Abbrev: nothing of it is there; removed, its configuration still there."""

_ONLY_WHAT_IS_NEEDED = (
    "--option=APT::AutoRemove::SuggestsImportant=false",
    "--option=APT::AutoRemove::RecommendsImportant=false",
)
"""Otherwise apt keeps what anything on the host suggests or recommends, also what did without it before."""

_GOES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_RECOMMENDED = re.compile(r"(?:^|[,|] )([a-z0-9][a-z0-9.+-]+)")
_COMES = re.compile(r"^Inst (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Known:
    """One package that dpkg has heard of."""

    installed: bool
    configured: bool
    """Its configuration is there, with it or without."""
    held: bool
    vital: bool
    """Essential or Protected (deb-control(5))."""
    recommends: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parting:
    """``names`` may go together; ``stayed`` says of the others why not."""

    names: tuple[str, ...] = ()
    stayed: Mapping[str, str] = field(default_factory=dict)

    def command(self, *, purge: bool) -> tuple[str, ...]:
        """Told to apt-get, it takes away exactly ``names``; empty where nothing goes."""
        return (*_apt_get("purge" if purge else "remove"), *self.names) if self.names else ()


def parting(names: Sequence[str], *, purge: bool, baseline: Collection[str] | None) -> Parting:
    """What of ``names`` can go, and what goes with it. ``baseline``: names of the packages that were on the host
    before the agent; where nobody knows them, nothing goes along. Raises DeployError when apt cannot tell."""
    known = _known()
    due = [name for name in names if name in known and (known[name].installed or (purge and known[name].configured))]
    stayed = {name: "the system cannot do without it" for name in due if known[name].vital}
    going = [name for name in due if name not in stayed]
    while going and (besides := _besides(going)):
        needed = {name: others for name in going if (others := _besides([name], but=going))}
        # Where none of them alone is to blame, all of them together are.
        blamed = needed or dict.fromkeys(going, besides)
        stayed |= {
            name: f"{', '.join(others)} {'needs' if len(others) == 1 else 'need'} it" for name, others in blamed.items()
        }
        going = [name for name in going if name not in blamed]
    along = [] if baseline is None or not going else _along(going, known, baseline)
    return Parting((*going, *along), stayed)


def take_away(names: Sequence[str], *, purge: bool, baseline: Collection[str] | None) -> Mapping[str, str]:
    """Takes packages away in one run; by name, why some had to stay. Raises DeployError when apt does nothing."""
    apt.mend()
    decided = parting(names, purge=purge, baseline=baseline)
    if decided.names:
        done = _apt(decided.command(purge=purge), {**apt.environment(), **(_FOR_GOOD if purge else {})})
        if not done.ok:
            # A package's own script may refuse; the others have gone all the same, or go the next time.
            failure, there = apt.failure(done), installed()
            why = f"{failure.message} ({failure.hint})" if failure.hint else failure.message
            return {**decided.stayed, **{name: why for name in names if name in there}}
    return decided.stayed


def put_back(name: str, version: str) -> None:
    """Installs ``name`` in the version in which it was found. Raises DeployError when it cannot be had any more, or
    when something else would have to go."""
    command = _apt_get("--allow-downgrades", "--no-install-recommends", "install")
    wanted = f"{name}={version}"
    dry = _apt([*command, "--simulate", wanted])
    if not dry.ok:
        apt.refresh()
        dry = _apt([*command, "--simulate", wanted])
    if not dry.ok:
        raise DeployError(f"{name} {version} cannot be had any more: {apt.failure(dry).message}")
    if others := _gone_in(dry.output.decode(errors="replace")):
        raise DeployError(f"{name} {version} cannot come back while {', '.join(others)} is there")
    done = _apt([*command, wanted])
    if not done.ok:
        raise apt.failure(done)


def installed() -> frozenset[str]:
    """Names of all packages on the host. Raises DeployError."""
    return frozenset(name for name, known in _known().items() if known.installed)


def _along(going: Sequence[str], known: Mapping[str, Known], baseline: Collection[str]) -> list[str]:
    unneeded = _gone_with([], known, baseline)
    after = _gone_with(going, known, baseline)
    along = [
        name
        for name in after
        if name not in unneeded
        and name not in going
        and name not in baseline
        and name in known
        and not known[name].held
    ]
    return along if not _besides([*going, *along]) else []


def _gone_with(going: Collection[str], known: Mapping[str, Known], baseline: Collection[str]) -> list[str]:
    """What goes when nobody needs it after ``going``. What a package recommends that stays counts as needed, unless
    that one was on the host before the agent."""
    kept: set[str] = set()
    while True:
        names = (*going, *(f"{name}+" for name in sorted(kept)))
        gone = _gone_in(_dry([*_ONLY_WHAT_IS_NEEDED, "--auto-remove", "remove", *names]))
        staying = known.keys() - {*gone, *going, *baseline}
        recommended = {name for stays in staying if known[stays].installed for name in known[stays].recommends}
        if not (more := recommended.intersection(gone) - kept):
            return gone
        kept |= more


def _besides(names: Sequence[str], *, but: Collection[str] = ()) -> list[str]:
    """What else would come or go with ``names``."""
    dry = _dry(["remove", *names])
    named = {name.partition(":")[0] for name in (*names, *but)}
    return [name for name in (*_gone_in(dry), *_COMES.findall(dry)) if name.partition(":")[0] not in named]


def _gone_in(dry: str) -> list[str]:
    return sorted(set(_GOES.findall(dry)))


def _dry(arguments: Sequence[str]) -> str:
    done = _apt([*_apt_get("--simulate"), *arguments])
    if not done.ok:
        raise apt.failure(done)
    return done.output.decode(errors="replace")


def _apt(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Completed:
    env = environment if environment is not None else apt.environment()
    return run(command, timeout_s=apt.RUN_TIMEOUT_S, env=env, output_limit=_OUTPUT_LIMIT)


def _apt_get(*arguments: str) -> tuple[str, ...]:
    """Held packages among those named are held by the agent itself: whoever else held one is asked before."""
    return (*apt.APT_GET, "--allow-change-held-packages", *arguments)


def _known() -> dict[str, Known]:
    """All packages, those of the host's own architecture, and of none, by their plain name."""
    done = run(_KNOWN, timeout_s=apt.QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT)
    if not done.ok:
        raise DeployError(f"dpkg-query failed: {done.complaint}")
    rows = [line.split("\t") for line in done.output.decode(errors="replace").splitlines() if line.count("\t") == 6]
    own = next((architecture for name, architecture, *_ in rows if name == "dpkg"), "")
    return {
        name if architecture in (own, "all") else f"{name}:{architecture}": Known(
            installed=status[1] not in (_ABSENT, _CONFIGURATION),
            configured=status[1] != _ABSENT,
            held=status[0] == "h",
            vital="yes" in (essential, protected),
            recommends=frozenset(_RECOMMENDED.findall(recommends)),
        )
        for name, architecture, status, essential, protected, recommends, _ in rows
    }
