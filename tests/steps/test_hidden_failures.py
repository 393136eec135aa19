"""A deploy that cannot be prepared is told in each cycle, whatever holds it or another; only the engine is played."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cycle import run
from agent.domain.account import Trigger
from agent.domain.desired import DesiredState
from agent.domain.memory import LONGEST_BACKOFF_S
from agent.domain.outcome import DeployOutcome, Status
from agent.domain.plan import WantedChange
from agent.engine.client import Execute, FoundDeploy
from tests.steps.test_cycle import HOSTS, INVENTORY, SHUT, Host, PlayedEngine
from tests.steps.test_cycle import host as host  # noqa: PLC0414 - a fixture, used by its name

FIRST = "    - {name: first, deploy: files, with: {/srv/first: {content: x}}}\n"
BROKEN = "    - {name: broken, deploy: files, with: {/srv/broken: {content: x}}}\n"


class Engine(PlayedEngine):
    """``first`` wants its change for ever, or until it ran; ``broken`` raises, unless it is whole."""

    for_ever = True
    whole = False
    ran = False
    prepared: tuple[str, ...] = ()

    def plan(self, state: DesiredState, *_: object) -> tuple[FoundDeploy, ...]:
        return tuple(self._found(deploy.name) for deploy in state.deploys)

    def apply(self, state, _root, _interrupted, *, decide, on_done, **_):  # type: ignore[no-untyped-def]
        ended = []
        for deploy in state.deploys:
            found = self._found(deploy.name)
            execute = isinstance(decide(found), Execute)
            self.ran = self.ran or execute
            status = Status.FAILED if found.error else Status.DONE if execute else Status.HELD
            ended.append(DeployOutcome(deploy.name, status, error=found.error or ""))
            on_done(ended[-1])
        return tuple(ended)

    def _found(self, deploy: str) -> FoundDeploy:
        if deploy == "broken" and self.whole:
            return FoundDeploy(deploy)
        if deploy == "broken":
            return FoundDeploy(deploy, error="RuntimeError: boom")
        return FoundDeploy(deploy, (WantedChange("file:/srv/first", "w"),) if self.for_ever or not self.ran else ())


@pytest.fixture
def engine(host: Host) -> Engine:
    host.parts = replace(host.parts, engine=Engine())
    return host.parts.engine  # type: ignore[return-value]


def commit(host: Host, *, first: str = FIRST, broken: str = BROKEN, fleet: str = "{}\n") -> None:
    site = f"- hosts: all\n  deploys:\n{first}{broken}"
    host.repo.commit("Both", HOSTS | {f"{INVENTORY}/site.yaml": site, f"{INVENTORY}/fleet.yaml": fleet})


def told(host: Host, *, later: int = 0) -> tuple[int, list[str]]:
    """The cycle's exit code, and what it says of ``broken``. ``later``: seconds since the last one."""
    now = host.parts.clock() + later
    host.parts = replace(host.parts, clock=lambda: now)
    account = run(host.parts, Trigger.CLOCK)
    return int(account.exit), [each.message for each in account.failures if each.message.startswith("broken")]


@pytest.mark.parametrize("later", [1, LONGEST_BACKOFF_S + 1])
def test_behind_one_that_always_says_changed(host: Host, engine: Engine, later: int) -> None:
    commit(host)
    for _ in range(3):
        code, messages = told(host, later=later)
        assert code == 7
        assert len(messages) == 1
        assert "RuntimeError: boom" in messages[0]


def test_behind_one_that_is_only_observed(host: Host, engine: Engine) -> None:
    commit(host, first=FIRST.replace("deploy: files", "deploy: files, mode: observe"))
    for _ in range(2):
        code, messages = told(host, later=LONGEST_BACKOFF_S + 1)
        assert code == 7
        assert "RuntimeError: boom" in messages[0]


def test_behind_drift_that_waits_for_a_window(host: Host, engine: Engine) -> None:
    engine.for_ever = False
    fleet = SHUT.replace("4h", "4h, drift: hold")
    commit(host, fleet=fleet)
    engine.whole = True
    assert told(host) == (0, [])
    engine.whole = False
    assert told(host, later=6 * 3600)[0] == 7  # inside its window
    engine.ran = False
    code, (message,) = told(host, later=18 * 3600)
    assert (code, "RuntimeError: boom" in message, engine.ran) == (7, True, False)


def test_on_a_suspended_host(host: Host, engine: Engine) -> None:
    engine.for_ever = False
    commit(host)
    told(host)
    engine.ran = False
    commit(host, fleet="suspend: [{hosts: web1, reason: disk}]\n")
    code, (message,) = told(host, later=LONGEST_BACKOFF_S + 1)
    assert (code, "RuntimeError: boom" in message) == (7, True)


def test_what_was_never_tried_and_may_yet_come_about_is_no_failure(host: Host, engine: Engine) -> None:
    engine.for_ever = False
    commit(host, fleet="suspend: [{hosts: web1, reason: disk}]\n")
    assert told(host) == (0, [])


def test_a_commit_that_wants_something_else_does_not_wait_for_a_failing_deploy_to_be_tried_again(
    host: Host, engine: Engine
) -> None:
    commit(host)
    waits = []
    for text in ("x", "x", "y"):
        commit(host, first=FIRST.replace("content: x", f"content: {text}"))
        account = run(host.parts, Trigger.CLOCK)
        assert account.permitted is not None
        waits.append([name for name, hold in account.permitted.deploy_holds.items() if hold.kind == "backoff"])
    assert waits == [[], ["broken"], []]
