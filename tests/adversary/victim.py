"""A host under attack: whole cycles over a real repository, of which only pyinfra and the status branch are played.

What the attacks must not reach is recorded: which commits were planned (planning runs deploy code), applied, exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.cycle import run
from agent.domain.account import Account, Trigger
from agent.domain.commit import TrustMode
from agent.domain.desired import DesiredState
from agent.domain.health import Vitals
from agent.domain.host_phase import host_phase
from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.plan import WantedChange
from agent.domain.report import Report
from agent.engine.client import Decision, Execute, FoundDeploy
from agent.fleet.compose import ReportMeta, compose
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
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import Author, ConfigRepo

NOW = 1_790_000_000  # 2026-09-21
VITALS = Vitals(10, 5, 100, 50, 0, 1000, 900, 90, 3)
INVENTORY = "inventories/prod"
SIGNERS = f"{INVENTORY}/trusted_signers"
FLEET = f"{INVENTORY}/fleet.yaml"
SITE = f"{INVENTORY}/site.yaml"


def motd(text: str) -> dict[str, str | bytes | None]:
    """A site that wants one file with these words."""
    return {SITE: f"- hosts: all\n  deploys:\n    - files: {{/srv/motd: {{content: {text}}}}}\n"}


EVIL = motd("evil")


@dataclass
class SpyEngine:
    """Wants a change of what was not applied yet, and of what was changed by hand (``drifted``); remembers for which
    commits it was asked."""

    planned: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    stopped: bool = False
    drifted: bool = False
    has: str = ""

    def plan(self, state: DesiredState, *_: object) -> tuple[FoundDeploy, ...]:
        self.planned.append(state.commit)
        return tuple(self._found(deploy.name, state) for deploy in state.deploys)

    def apply(
        self,
        state: DesiredState,
        _root: Path,
        _interrupted: frozenset[str],
        *,
        decide: Callable[[FoundDeploy], Decision],
        on_done: Callable[[DeployOutcome], None],
        **_: object,
    ) -> tuple[DeployOutcome, ...]:
        ended = []
        for deploy in state.deploys:
            runs = isinstance(decide(self._found(deploy.name, state)), Execute)
            result = OperationResult(deploy.name, "file:/srv/motd", "write", succeeded=True, changed=True, seconds=0.1)
            ended.append(DeployOutcome(deploy.name, Status.DONE if runs else Status.HELD, (result,) if runs else ()))
            on_done(ended[-1])
            if runs:
                self.applied.append(state.commit)
                self.has, self.drifted = state.digest, False
        return tuple(ended)

    def _found(self, deploy: str, state: DesiredState) -> FoundDeploy:
        wanted = self.drifted or self.has != state.digest
        return FoundDeploy(deploy, (WantedChange("file:/srv/motd", "write /srv/motd"),) if wanted else ())


@dataclass
class Reporter:
    """Writes the real report of each cycle, and sends it nowhere."""

    memory: Memory
    events: Events
    reports: list[Report] = field(default_factory=list)

    def attempting(self, _: Account) -> None:
        pass

    def report(self, account: Account) -> None:
        meta = ReportMeta("web1", "prod", "1", len(self.reports), NOW, NOW + 60)
        applied, events = self.memory.applied(), self.events.last(20)
        self.reports.append(compose(account, host_phase(account), applied, events, meta))

    def next_report(self, _: Account) -> int:
        return NOW + 1800


@dataclass
class Victim:
    """``repo`` is the attackers' working copy and the remote at once; ``now`` the host's clock."""

    repo: ConfigRepo
    parts: Parts
    engine: SpyEngine
    reporter: Reporter
    now: int = NOW
    slept: list[float] = field(default_factory=list)

    def cycle(self) -> Report:
        run(self.parts, Trigger.PERSON)
        return self.reporter.reports[-1]

    @property
    def anchors(self) -> Path:
        return self.parts.paths.trusted_signers

    @property
    def last(self) -> str | None:
        return self.parts.memory.trust().last

    def exports(self) -> set[str]:
        folder = self.parts.paths.commits
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    @contextmanager
    def attacked(self, kind: str, *, cycles: int = 2) -> Iterator[None]:
        """What is done inside changes nothing, cycle after cycle, and each report says that it is ``kind``."""
        trust, exports = self.parts.memory.trust(), self.exports()
        applied = self.parts.memory.applied()
        seen = {*self.engine.planned, *self.engine.applied}
        yield
        for _ in range(cycles):
            report = self.cycle()
            assert [problem.kind for problem in report.problems] == [kind]
            assert report.problems[0].hint
            assert report.phase.value == "failed" or report.problems[0].exit == 4
            assert self.parts.memory.trust() == trust
            assert self.exports() == exports
            assert {*self.engine.planned, *self.engine.applied} == seen
            assert self.parts.memory.applied().commit == applied.commit


def victim(folder: Path, anchor: Author) -> Victim:
    """web1, made below ``folder``; trusts ``anchor``."""
    ConfigRepo(folder / "work")
    paths = Paths(folder / "host")
    paths.var.mkdir(parents=True, mode=0o700)
    paths.etc.mkdir(parents=True)
    paths.trusted_signers.write_text(f"{anchor.line}\n")
    return at(folder)


def at(folder: Path) -> Victim:
    """The one that is below ``folder``."""
    repo = ConfigRepo.at(folder / "work")
    return following(repo, Paths(folder / "host"), f"{repo.path}", Access(None, None))


def following(repo: ConfigRepo, paths: Paths, remote: str, access: Access) -> Victim:
    mirror, memory, events = Mirror(paths.mirror, access), Memory(paths), Events(paths.events)
    engine, reporter = SpyEngine(), Reporter(memory, events)
    host: Victim
    parts = Parts(
        paths=paths,
        settings=Settings(remote=remote, inventory="prod", host="web1", trust=TrustMode.SIGNED),
        memory=memory,
        mirror=mirror,
        exports=Exports(paths.commits, mirror),
        repositories=Repositories(paths.repositories, access),
        resolved=ResolvedStates(paths.resolved, ResolvedFor("a" * 64, "prod", "web1")),
        engine=engine,  # type: ignore[arg-type]
        journal=Journal(paths.journal),
        ledger=Ledger(paths.ledger),
        events=events,
        reporter=reporter,
        progress=Progress(started=lambda *_: None, operated=lambda _: None),
        clock=lambda: host.now,
        versions=Versions(paths),
        remote_answers=lambda: True,
        sleep=lambda seconds: host.slept.append(seconds),  # noqa: PLW0108 - there is no host yet
        monotonic=lambda: sum(host.slept),
    )
    host = Victim(repo, parts, engine, reporter)
    return host


class attacked_after_trust:  # noqa: N801 - reads as a statement
    """Done by somebody who may sign: the commit is trusted, and yet nothing of it is applied or left behind."""

    def __init__(self, host: Victim, kinds: tuple[str, ...]) -> None:
        self._host, self._kinds = host, kinds
        self._applied, self._exports = {*host.engine.applied}, host.exports()

    def __enter__(self) -> None:
        pass

    def __exit__(self, failed: object, *_: object) -> None:
        for _ in range(0 if failed else 2):
            report = self._host.cycle()
            assert report.problems[0].kind in self._kinds
            assert report.problems[0].hint or ":" in report.problems[0].message
            assert {*self._host.engine.applied} == self._applied
            assert self._host.exports() == self._exports
