"""A host on which prune removes what has left Git: real files, a real ledger, a played engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent.domain.account import Account
from agent.domain.commit import TrustedCommit
from agent.domain.desired import OnRemove
from agent.domain.memory import Applied, AppliedDeploy, FleetSettings, State
from agent.domain.outcome import DeployOutcome, Status
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Seen
from agent.domain.removal import Fate, Leaving, Pruned
from agent.errors import DeployError
from agent.host.exports import Exports
from agent.host.ledger import Ledger
from agent.steps import remove, revoke
from agent.steps.apply import Progress
from agent.steps.prune import OnRemoveRunner, prune
from agent.steps.record import look
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo
from tests.steps.build import SHA, account, health, plan, planned, state

NOW = 1_790_000_000


def well(**more: Any) -> Account:
    plain: dict[str, Any] = {"after": plan(planned()), "health": health()}
    return account(**(plain | more))


@dataclass
class PlayedEngine:
    """Runs what deploys have said to run: ``work`` says why it failed, empty where it did not."""

    work: Callable[[], str] = lambda: ""
    ran: list[tuple[str, str | None, object, bool]] = field(default_factory=list)

    def apply(self, wanted: Any, root: Path, interrupted: frozenset[str], **_: object) -> tuple[DeployOutcome, ...]:
        (one,) = wanted.deploys
        assert (root / one.source).is_file()
        self.ran.append((one.name, one.source, one.data, one.name in interrupted))
        error = self.work()
        return (DeployOutcome(one.name, Status.FAILED if error else Status.DONE, (), error),)


@dataclass
class Host:
    folder: Path
    ledger: Ledger
    mirror: Mirror
    exports: Exports
    commit: str
    engine: PlayedEngine = field(default_factory=PlayedEngine)
    memory: State = field(default_factory=lambda: State(fleet=FleetSettings(prune_max=50, prune_percent=100)))
    idle: dict[str, str] = field(default_factory=dict)
    deploys: dict[str, AppliedDeploy] = field(default_factory=dict)
    told: Account = field(default_factory=well)

    def key(self, name: str) -> str:
        return f"file:{self.folder}/{name}"

    def gave(self, name: str, *, deploy: str = "gone", reloads: tuple[str, ...] = ()) -> str:
        """A file that the agent has created; its key."""
        key = self.key(name)
        self.ledger.record(key, deploy, NOW, None, reloads)
        (self.folder / name).write_text("ours\n")
        self.ledger.settle(key, look(key))
        return key

    def left(self, name: str = "app") -> None:
        """A deploy that has left, and said what is to be run then."""
        said = OnRemove("deploys/app_absent.py", {"word": "bye"}, self.commit)
        self.deploys[name] = AppliedDeploy("1" * 64, on_remove=said)
        self.ledger.record("package:git", BOOTSTRAP, NOW, None)

    def prune(
        self,
        *,
        waits_for_backoff: bool = True,
        now: int = NOW,
        begin: Callable[[], None] = lambda: None,
        hold_denied: Callable[[Leaving], Leaving] = lambda leaving: leaving,
        hold_named: Callable[[Leaving], Leaving] = lambda leaving: leaving,
    ) -> Pruned:
        progress = Progress(started=lambda *_: None, operated=lambda _: None)
        return prune(
            self.told,
            before=Applied(commit=SHA, deploys=self.deploys),
            idle=self.idle,
            memory=self.memory,
            ledger=self.ledger,
            on_remove=OnRemoveRunner(self.engine, self.exports, self.mirror, progress, self.commit, "lab"),  # type: ignore[arg-type]
            now=now,
            waits_for_backoff=waits_for_backoff,
            begin=begin,
            hold_denied=hold_denied,
            hold_named=hold_named,
        )

    @property
    def there(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def host_below(tmp_path: Path) -> Host:
    """Nothing of it is on the host yet."""
    repo = ConfigRepo(tmp_path / "work")
    commit = repo.commit("First", {"deploys/app_absent.py": "pass\n"})
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    mirror.fetch(f"{repo.path}", "main")
    folder = tmp_path / "host"
    folder.mkdir()
    told = well(state=state(commit=commit), trusted=TrustedCommit(commit, "First", None))
    return Host(folder, Ledger(tmp_path / "ledger"), mirror, Exports(tmp_path / "commits", mirror), commit, told=told)


def fates(pruned: Pruned) -> dict[str, Fate]:
    return {removal.entry.name.rpartition("/")[2]: removal.fate for removal in pruned.done}


@dataclass
class Busy:
    """A kind that refuses while it is ``busy``, and notes what it is told."""

    busy: str = ""
    released: list[str] = field(default_factory=list)
    may_hold_others: ClassVar[bool] = False

    def look(self, name: str) -> Seen:
        return Seen({"name": name})

    def changed(self, *_: object) -> str:
        return ""

    def remove(self, entries: Any, *, purge: bool, wanted: Any) -> dict[str, str]:
        del purge, wanted
        return {entry.key: self.busy for entry in entries if self.busy}

    def release(self, entry: LedgerEntry) -> None:
        if self.busy:
            raise DeployError(self.busy)
        self.released.append(entry.key)


@dataclass
class Opening(Busy):
    """A kind that gives access; ``stubborn`` says what of it cannot be taken."""

    stubborn: tuple[str, ...] = ()
    revoked: list[str] = field(default_factory=list)

    def has_access(self, entry: LedgerEntry) -> bool:
        return entry.key not in self.revoked

    def revoke(self, entry: LedgerEntry) -> tuple[str, ...]:
        self.revoked.append(entry.key)
        return self.stubborn


def opening(monkeypatch: pytest.MonkeyPatch) -> Opening:
    """Has all that leaves give access."""
    kind = Opening("its process 7 (sleep) runs")
    monkeypatch.setattr(remove, "kind_named", lambda _: kind)
    monkeypatch.setattr(revoke, "kind_named", lambda _: kind)
    return kind
