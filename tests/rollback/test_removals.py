"""Confirmed apply: what leaves Git with a commit is on the trial of that commit, and comes back where it does harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys import systemctl
from agent.deploys.files.file import File
from agent.domain.host_phase import HostPhase, host_phase
from agent.errors import DeployError
from tests.rollback.mortal import FAILS, Dead, Host, Hosts, problems


@pytest.fixture
def serving(hosts: Hosts, good: Host) -> Host:
    """On a good commit with a file ``page`` that the check of another deploy, which names it nowhere, needs."""

    def serve() -> Host:
        _serve(good, "good", "page")
        assert int(good.cycle().exit) == 0
        good.now += 100
        return good

    return hosts.kept("serving", serve)


def _serve(host: Host, word: str, *more: str, plays: str = "") -> str:
    check = f'{{command: [test, -e, "{host.target}/page"], name: page}}'
    other = f"    - {{name: other, deploy: files, with: {{{host.target}/other: {{content: x}}}}, health: [{check}]}}\n"
    return host.commit(word, *more, check=word, plays=other + plays)


def test_a_commit_that_only_removes_what_a_check_needs_is_taken_back(serving: Host) -> None:
    digest = serving.parts.memory.applied().good
    _serve(serving, "good")
    account = serving.cycle()
    assert (int(account.exit), host_phase(account)) == (8, HostPhase.ROLLED_BACK)
    assert serving.files() == {"web": "good", "page": "good", "other": "x"}
    assert "other: page" in problems(account)["rolled-back"]
    assert (serving.parts.memory.applied().good, serving.parts.memory.trial()) == (digest, None)
    assert sum(serving.slept) >= 4, "it could have come up while it settled"
    told = [event.kind for event in serving.parts.events.last(20) if event.resource == f"file:{serving.target}/page"]
    assert told[-2:] == ["pruned", "taken-back"]
    serving.now += 86400
    assert (serving.cycle().rollback, serving.reporter.attempts) == (None, 1), "it is not tried again"
    assert "page" in serving.files()


def test_a_change_that_was_well_goes_back_with_the_removal_that_was_not(serving: Host) -> None:
    _serve(serving, "better")
    assert host_phase(serving.cycle()) is HostPhase.ROLLED_BACK
    assert serving.files() == {"web": "good", "page": "good", "other": "x"}


def test_a_deploy_that_left_as_a_whole_comes_back(good: Host) -> None:
    extra = f"    - {{name: extra, deploy: files, with: {{{good.target}/page: {{content: extra}}}}}}\n"
    _serve(good, "good", plays=extra)
    assert int(good.cycle().exit) == 0
    good.now += 100
    _serve(good, "good")
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.files()["page"] == "extra"
    assert int(good.cycle().exit) == 0


def test_a_removal_that_does_no_harm_is_a_trial_that_ends_well_at_once(serving: Host) -> None:
    serving.commit("good", "page")  # no deploy asks for anything but web
    account = serving.cycle()
    assert (int(account.exit), sorted(serving.files())) == (0, ["page", "web"])
    assert (serving.reporter.attempts, serving.slept) == (1, [])
    assert serving.parts.memory.trial() is None
    assert serving.parts.memory.applied().good == account.state.digest if account.state else False


def test_what_comes_up_again_while_a_removal_settles_is_kept(serving: Host) -> None:
    _serve(serving, "good")
    serving.while_it_settles = lambda: (serving.target / "page").write_text("by something else\n") and None
    account = serving.cycle()
    assert (int(account.exit), account.rollback) == (0, None)


def test_a_cycle_that_dies_while_a_removal_settles_leaves_the_judgement_to_the_next(serving: Host) -> None:
    def die() -> None:
        raise Dead

    _serve(serving, "good")
    serving.while_it_settles = die
    with pytest.raises(Dead):
        serving.cycle()
    assert "page" not in serving.files()
    serving.while_it_settles = lambda: None
    assert host_phase(serving.cycle()) is HostPhase.ROLLED_BACK
    assert "page" in serving.files()


def test_a_cycle_that_is_to_end_while_a_removal_settles_calls_nothing_good(serving: Host) -> None:
    good = serving.parts.memory.applied().good
    _serve(serving, "good")
    serving.while_it_settles = serving.engine.stop
    serving.cycle()
    assert serving.parts.memory.applied().good == good
    serving.while_it_settles = lambda: None
    serving.engine.stopped = False
    assert host_phase(serving.cycle()) is HostPhase.ROLLED_BACK
    assert "page" in serving.files()


def test_nothing_is_removed_while_the_change_that_it_left_with_is_not_judged(serving: Host) -> None:
    serving.commit("bad", check="good")
    serving.while_it_settles = serving.engine.stop
    serving.cycle()
    assert "page" in serving.files()


def test_a_removal_that_waits_for_a_deploy_is_on_trial_when_that_is_done(serving: Host, tmp_path: Path) -> None:
    away = f"test -e {tmp_path}/mirror || {{ echo Could not resolve host: mirror >&2; exit 6; }}"
    _serve(serving, "good", plays=FAILS % away)
    assert int(serving.cycle().exit) == 7
    assert "page" in serving.files()
    (tmp_path / "mirror").touch()
    serving.now += 3600
    assert host_phase(serving.cycle()) is HostPhase.ROLLED_BACK
    assert "page" in serving.files()


def test_a_unit_that_cannot_be_told_of_what_has_gone_is_harm(serving: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "tell_active", lambda *_: ["web.service: reload: no such include"])
    serving.commit("good")
    account = serving.cycle()
    assert (int(account.exit), host_phase(account)) == (7, HostPhase.ROLLED_BACK)
    assert "no such include" in problems(account)["rolled-back"]
    assert "page" in serving.files()


def test_a_removal_that_fails_cycle_after_cycle_is_announced_once(
    serving: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(*_: object, **__: object) -> dict[str, str]:
        raise DeployError("the disk is read-only")

    monkeypatch.setattr(File, "remove", remove)
    serving.commit("good")  # no deploy asks for anything but web
    for _ in range(2):
        assert "read-only" in problems(serving.cycle())["not-pruned"]
        serving.now += 60
    assert serving.reporter.attempts == 1
