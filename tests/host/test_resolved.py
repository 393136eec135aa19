"""What a commit was read as is remembered: for the same reader, undamaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.domain.check import Check
from agent.domain.commit import Accept, BranchRule, TrustedCommit
from agent.domain.desired import DesiredDeploy, DesiredState, Looking, Mode, OnRemove, Resource
from agent.domain.memory import FleetSettings, Suspension, Webhook
from agent.domain.pins import AgentPin, RepositoryPin
from agent.domain.resolution import HostTerms, Resolution
from agent.domain.window import Window
from agent.host.resolved import ResolvedFor, ResolvedStates

COMMIT = TrustedCommit("c" * 40, "Say it", None)
WHOM = ResolvedFor("agent", "prod", "web1")

RESOLUTION = Resolution(
    COMMIT,
    DesiredState(
        "web1",
        COMMIT.sha,
        (
            DesiredDeploy(
                "files",
                "files",
                {"items": [{"path": "/etc/motd", "content": "ä\n", "mode": None, "lines": 3}]},
                "d" * 64,
                resources=(Resource("file:/etc/motd", "e" * 64, ("a.service",), True, ("/etc",), ("/a",), ("/b",)),),
                needs=("packages",),
                mode=Mode.OBSERVE,
                health=(Check("files", "file", "motd", {"path": "/etc/motd", "timeout": 1.5}),),
                looking=Looking.PRIVILEGED,
            ),
            DesiredDeploy(
                "own",
                "deploy",
                {},
                "f" * 64,
                source="deploys/own.py",
                data={"port": 80, "nested": [None, {"a": True}]},
                repository=RepositoryPin("ssh://h/r", "", "1" * 40, "2" * 64, ("a submodule",)),
                on_remove=OnRemove("deploys/gone.py", {"port": 80}, COMMIT.sha),
            ),
        ),
        "0" * 64,
    ),
    HostTerms(
        fleet=FleetSettings(
            accept=Accept(False, ("v*",), BranchRule.NAMED),
            windows=(Window((5, 6), 120, 14400, "Europe/Berlin", True),),
            webhook=Webhook("::1", 80, "/etc/secret"),
        ),
        agent=AgentPin("1.0", ("hostwright==1.0 --hash=sha256:0",)),
        agent_unlocked="no pin",
        suspensions=(Suspension("audit", 0, 60),),
        idle={"web": "a play"},
        left_out=("a link",),
        repositories=(RepositoryPin("ssh://h/r", "", "1" * 40, "2" * 64),),
        kept=("2" * 64,),
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "resolved"


def test_what_was_read_comes_back_as_it_was(folder: Path) -> None:
    ResolvedStates(folder, WHOM).keep(RESOLUTION)
    assert ResolvedStates(folder, WHOM).recall(COMMIT) == RESOLUTION


@pytest.mark.parametrize("change", [{"agent": "other"}, {"inventory": "lab"}, {"host": "web2"}, {"python": "4.0"}])
def test_another_agent_host_or_inventory_reads_the_commit_anew(folder: Path, change: dict[str, str]) -> None:
    ResolvedStates(folder, WHOM).keep(RESOLUTION)
    assert ResolvedStates(folder, dataclasses.replace(WHOM, **change)).recall(COMMIT) is None


def test_a_document_with_one_other_byte_counts_as_not_there(folder: Path) -> None:
    ResolvedStates(folder, WHOM).keep(RESOLUTION)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes().replace(b"/etc/motd", b"/etc/mood", 1))
    assert ResolvedStates(folder, WHOM).recall(COMMIT) is None


def test_the_document_of_one_commit_is_not_taken_for_that_of_another(folder: Path) -> None:
    ResolvedStates(folder, WHOM).keep(RESOLUTION)
    (file,) = folder.iterdir()
    file.rename(folder / f"{'b' * 40}.json")
    assert ResolvedStates(folder, WHOM).find("b" * 40) is None


def test_an_agent_that_does_not_know_its_own_code_remembers_nothing(folder: Path) -> None:
    nameless = dataclasses.replace(WHOM, agent="")
    ResolvedStates(folder, nameless).keep(RESOLUTION)
    assert ResolvedStates(folder, nameless).recall(COMMIT) is None


def test_who_does_not_hold_the_lock_writes_nothing(folder: Path) -> None:
    ResolvedStates(folder, WHOM, writes=False).keep(RESOLUTION)
    assert not folder.exists()


def test_documents_of_commits_that_nobody_needs_go(folder: Path) -> None:
    states = ResolvedStates(folder, WHOM)
    states.keep(RESOLUTION)
    states.collect(frozenset({COMMIT.sha}))
    assert ResolvedStates(folder, WHOM).recall(COMMIT) == RESOLUTION
    states.collect(frozenset())
    assert ResolvedStates(folder, WHOM).recall(COMMIT) is None
