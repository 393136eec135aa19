"""remember: other repositories' files stay while a commit that the host may need pins them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.account import Account
from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredState
from agent.domain.memory import Applied, State
from agent.domain.resolution import HostTerms, Resolution
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedFor, ResolvedStates
from agent.host.state import Memory
from agent.steps.remember import remember
from agent.system.git_command import Access
from agent.system.mirror import Mirror

A, B, C = "a" * 64, "b" * 64, "c" * 64
FIRST, SECOND, UNREAD = "1" * 40, "2" * 40, "3" * 40


@pytest.fixture
def resolved(tmp_path: Path) -> ResolvedStates:
    """A host that has read two commits: the first pins A, the second B."""
    states = ResolvedStates(tmp_path / "resolved", ResolvedFor("agent", "prod", "web1"))
    for sha, tree in ((FIRST, A), (SECOND, B)):
        state = DesiredState("web1", sha, (), "d" * 64)
        states.keep(Resolution(TrustedCommit(sha, "", None), state, HostTerms(kept=(tree,))))
    return states


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for tree in (A, B, C):
        (tmp_path / "store" / tree).mkdir(parents=True)
    return tmp_path / "store"


def kept(store: Path, resolved: ResolvedStates, trusted: str, aimed: str | None, applied: str | None) -> list[str]:
    paths = Paths(store.parent / "host")
    paths.var.mkdir(parents=True, exist_ok=True)
    memory = Memory(paths)
    memory.keep_state(State(aimed_commit=aimed))
    memory.keep_applied(Applied(commit=applied))
    remember(
        Account(trusted=TrustedCommit(trusted, "", None)),
        memory=memory,
        journal=Journal(paths.journal),
        exports=Exports(paths.commits, Mirror(paths.mirror, Access(None, None))),
        resolved=resolved,
        repositories=Repositories(store, None),
        events=Events(paths.events),
        commands=paths.commands,
        now=5,
    )
    return sorted(path.name for path in store.iterdir())


def test_what_any_of_the_commits_pins_is_kept_and_the_rest_goes(resolved: ResolvedStates, store: Path) -> None:
    assert kept(store, resolved, SECOND, None, FIRST) == [A, B]
    assert kept(store, resolved, SECOND, None, SECOND) == [B]


def test_nothing_goes_while_nobody_knows_what_a_commit_pins(resolved: ResolvedStates, store: Path) -> None:
    assert kept(store, resolved, FIRST, UNREAD, None) == [A, B, C]
