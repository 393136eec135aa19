"""A host that goes through whole cycles with the real engine and may die in any of them.

Only the clock, the status branch and the moments at which the agent dies are played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.domain.commit import TrustMode
from agent.domain.health import Vitals
from agent.domain.host_phase import HostPhase, host_phase
from agent.domain.outcome import DeployOutcome
from agent.engine.client import Engine
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedFor, ResolvedStates
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.parts import Parts
from agent.steps.apply import Progress
from agent.system import host as machine
from agent.system import systemd
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests import children
from tests.gitserver import ConfigRepo
from tests.reporter import PlayedReporter
from tests.stage import Stage

INVENTORY = "inventories/prod"
HOSTS = {
    f"{INVENTORY}/hosts.yaml": "all: {hosts: {web1: {}}}\n",
    f"{INVENTORY}/fleet.yaml": "schedule: {settle: 4s}\n",
}

FAILS = "    - {name: after, deploy: command, with: {try: {run: [sh, -c, '%s', sh], creates: /never}}}\n"
"""A play whose command fails. With ``creates`` the agent notes nowhere that it ended well: it would do so in the real
/var/lib, for an engine child knows only the paths of a real host."""


class Dead(BaseException):
    """What a SIGKILL is to the code that it hits: nothing runs after it."""


class MortalEngine(Engine):
    """Applies for real, and dies right afterwards as often as it is told."""

    deaths = 0

    def apply(self, *arguments: Any, **named: Any) -> tuple[DeployOutcome, ...]:
        outcomes = super().apply(*arguments, **named)
        if self.deaths:
            self.deaths -= 1
            raise Dead
        return outcomes


@dataclass
class Host:
    """web1, whose deploy ``web`` writes below ``target`` and is judged by ``target/web`` saying good."""

    repo: ConfigRepo
    parts: Parts
    engine: MortalEngine
    reporter: PlayedReporter
    target: Path
    now: int = 1_790_000_000
    answers: Callable[[], bool] = lambda: True
    slept: list[float] = field(default_factory=list)
    while_it_settles: Callable[[], None] = lambda: None

    def commit(self, word: str, *more: str, check: str = "good", plays: str = "") -> str:
        entries = [f"{self.target}/web: {{content: {word}}}"]
        entries += [f"{self.target}/{name}: {{content: {word}}}" for name in more]
        site = f"""\
- hosts: all
  deploys:
    - name: web
      deploy: files
      with: {{{", ".join(entries)}}}
      health: [{{command: [grep, -qx, {check}, "{self.target}/web"], name: says {check}}}]
{plays}"""
        return self.repo.commit(f"Say {word}", HOSTS | {f"{INVENTORY}/site.yaml": site})

    def cycle(self) -> Account:
        return run(self.parts, Trigger.CLOCK)

    def dies(self, times: int) -> None:
        """Cycle after cycle, each of which applies and does not live to see it."""
        for _ in range(times):
            self.engine.deaths = 1
            with pytest.raises(Dead):
                self.cycle()

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in self.target.iterdir()}

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.while_it_settles()


def feel_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "failed_units", lambda: ())
    monkeypatch.setattr(machine, "vitals", lambda _: Vitals(10, 5, 100, 50, 0, 1000, 900, 90, 3))


class Hosts:
    """All hosts of a module, one after the other in one folder."""

    def __init__(self, folder: Path) -> None:
        self._stage = Stage(folder)
        self._mirror: Mirror | None = None

    def new(self) -> Host:
        """web1, which has followed nothing yet."""
        self._stage.clear()
        (self._stage.folder / "target").mkdir()
        ConfigRepo(self._stage.folder / "work")
        Paths(self._stage.folder / "host").var.mkdir(parents=True, mode=0o700)
        return self._enter(Host.now)

    def kept(self, name: str, make: Callable[[], Host]) -> Host:
        """The host that ``make`` returned when it was asked for ``name`` first, as it was then."""
        return self._enter(self._stage.restore(name, lambda: make().now))

    def close(self) -> None:
        """End git's processes of the last host."""
        if self._mirror:
            self._mirror.close()

    def _enter(self, now: int) -> Host:
        paths, target = Paths(self._stage.folder / "host"), self._stage.folder / "target"
        repo = ConfigRepo.at(self._stage.folder / "work")
        self.close()
        self._mirror = mirror = Mirror(paths.mirror, Access(None, None))
        reporter = PlayedReporter()
        engine = children.engine(MortalEngine, work=self._stage.folder / "engine", timeout_s=60)
        host: Host
        parts = Parts(
            paths=paths,
            settings=Settings(remote=f"{repo.path}", inventory="prod", host="web1", trust=TrustMode.UNSIGNED),
            memory=Memory(paths),
            mirror=mirror,
            exports=Exports(paths.commits, mirror),
            repositories=Repositories(paths.repositories, Access(None, None)),
            resolved=ResolvedStates(paths.resolved, ResolvedFor("a" * 64, "prod", "web1")),
            engine=engine,
            journal=Journal(paths.journal),
            ledger=Ledger(paths.ledger),
            events=Events(paths.events),
            reporter=reporter,
            progress=Progress(started=lambda *_: None, operated=lambda _: None),
            clock=lambda: host.now,
            remote_answers=lambda: host.answers(),  # noqa: PLW0108 - nor here
            sleep=lambda seconds: host.sleep(seconds),  # noqa: PLW0108 - there is no host yet
            monotonic=lambda: sum(host.slept),
            versions=Versions(paths),
        )
        host = Host(repo, parts, engine, reporter, target, now)
        return host


def at_rest(host: Host) -> Host:
    """At rest on a good commit."""
    host.commit("good")
    account = host.cycle()
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.CONVERGED)
    host.now += 100
    return host


def problems(account: Account) -> dict[str, str]:
    return {failure.kind: failure.message for failure in account.failures}
