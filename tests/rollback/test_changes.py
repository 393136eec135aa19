"""Confirmed apply: a commit that does harm is taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.domain.host_phase import HostPhase, host_phase
from agent.domain.memory import Suspension
from agent.domain.trial import FIRST_DOUBT_S
from agent.errors import Consequence
from agent.system import systemd
from tests.rollback.mortal import FAILS, Dead, Host, problems


def test_a_commit_that_does_harm_is_taken_back_with_what_it_brought(good: Host) -> None:
    (good.target / "theirs").write_text("theirs\n")
    good.commit("bad", "theirs", "brought")
    account = good.cycle()
    assert good.files() == {"web": "good", "theirs": "theirs"}
    assert (int(account.exit), host_phase(account)) == (8, HostPhase.ROLLED_BACK)


def test_it_is_told_which_check_failed(good: Host) -> None:
    sha = good.commit("bad")
    message = problems(good.cycle())["rolled-back"]
    assert sha[:12] in message
    assert "web: says good" in message


def test_a_commit_that_was_taken_back_is_not_tried_again(good: Host) -> None:
    good.commit("bad")
    good.cycle()
    good.now += 7 * 86400
    account = good.cycle()
    assert (good.reporter.attempts, good.files()) == (1, {"web": "good"})
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.ROLLED_BACK)
    assert account.hold is not None
    assert account.hold.kind == "bad"


def test_a_newer_commit_that_wants_the_same_is_as_bad(good: Host) -> None:
    good.commit("bad")
    good.cycle()
    good.repo.commit("Say it again", {"README": "the same\n"})
    good.cycle()
    assert good.reporter.attempts == 1


def test_a_commit_that_mends_it_is_taken(good: Host) -> None:
    good.commit("bad")
    good.cycle()
    good.commit("good", "more")
    account = good.cycle()
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.CONVERGED)
    assert good.files() == {"web": "good", "more": "good"}


def test_a_commit_that_corrects_the_check_alone_is_judged_anew(good: Host) -> None:
    good.commit("new", check="nwe")
    good.cycle()
    good.commit("new", check="new")
    account = good.cycle()
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.CONVERGED)
    assert good.files() == {"web": "new"}
    assert not good.parts.memory.bad()


def test_a_corrected_check_that_fails_too_counts_like_the_first(good: Host) -> None:
    for check in ("one", "two"):
        good.commit("new", check=check)
        account = good.cycle()
        assert (int(account.exit), host_phase(account)) == (8, HostPhase.ROLLED_BACK)
    good.cycle()
    assert (good.reporter.attempts, good.files()) == (2, {"web": "good"})


def test_a_deploy_that_failed_stays_out_whatever_becomes_of_its_check(good: Host) -> None:
    for check in ("one", "two"):
        good.commit("new", check=check, plays=FAILS % "exit 1")
        good.cycle()
    assert good.reporter.attempts == 1


def test_what_comes_up_while_it_settles_is_kept(good: Host) -> None:
    good.commit("bad", check="fine")
    good.while_it_settles = lambda: (good.target / "web").write_text("fine\n") and None
    account = good.cycle()
    assert account.rollback is None
    assert sum(good.slept) <= 4


def test_a_check_that_failed_before_does_not_count(good: Host) -> None:
    good.commit("good", check="fine")  # fails from the beginning, and is taken back
    good.cycle()
    (good.target / "web").write_text("broken\n")
    account = good.cycle()
    assert good.files()["web"] == "good", "repaired"
    assert account.trial is None, "a repair is no change on trial"


def test_a_unit_that_failed_before_keeps_no_change_from_becoming_the_one_to_go_back_to(
    good: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "failed_units", lambda: ("theirs.service",))
    for word in ("better", "best"):
        good.commit(word, check=word)
        assert int(good.cycle().exit) == 8
    good.commit("bad")
    good.cycle()
    assert good.files() == {"web": "best"}


def test_a_deploy_that_fails_on_a_new_state_is_harm_and_what_is_half_done_is_taken_back(good: Host) -> None:
    good.commit("better", "brought", check="better", plays=FAILS % "exit 3")
    account = good.cycle()
    assert good.files() == {"web": "good"}
    assert (int(account.exit), host_phase(account)) == (7, HostPhase.ROLLED_BACK)
    assert list(problems(account)) == ["deploy-failed", "rolled-back"]
    assert "after failed: command:try" in problems(account)["rolled-back"]
    told = [event.resource for event in good.parts.events.last(20) if event.kind == "taken-back"]
    assert told == [f"file:{good.target}/web", f"file:{good.target}/brought"]
    assert sum(good.slept) == 0, "there is nothing to be waited for"
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.reporter.attempts == 1


def test_a_failure_that_passes_takes_nothing_back(good: Host) -> None:
    good.commit("better", check="better", plays=FAILS % "echo Could not resolve host: mirror >&2; exit 6")
    account = good.cycle()
    assert (int(account.exit), host_phase(account), good.files()) == (7, HostPhase.FAILED, {"web": "better"})
    assert good.parts.memory.bad() == {}


def test_a_first_state_that_fails_says_that_there_is_nothing_to_go_back_to(host: Host) -> None:
    host.commit("good", plays=FAILS % "exit 3")
    account = host.cycle()
    assert (int(account.exit), host.files()) == (7, {"web": "good"})
    assert "after failed" in problems(account)["nothing-to-go-back-to"]
    assert [event for event in host.parts.events.last(20) if event.kind == "adopted"] == []


def test_the_first_state_has_nothing_to_go_back_to(host: Host) -> None:
    host.commit("bad")
    account = host.cycle()
    assert int(account.exit) == 8
    assert "nothing-to-go-back-to" in problems(account)
    assert host.files() == {"web": "bad"}
    assert [event for event in host.parts.events.last(20) if event.kind == "adopted"] == [], "it reached nothing"


def test_where_going_back_does_not_help_the_verdict_is_withdrawn(good: Host) -> None:
    good.commit("good", "more")
    answers = iter([True])
    good.answers = lambda: next(answers, False)
    account = good.cycle()
    assert "inconclusive" in problems(account)
    assert host_phase(account) is HostPhase.INCONCLUSIVE
    assert good.files() == {"web": "good"}
    assert account.hold is not None
    assert account.hold.until == good.now + FIRST_DOUBT_S


def test_what_is_in_doubt_is_tried_again_and_forgiven(good: Host) -> None:
    good.commit("good", "more")
    answers = iter([True])
    good.answers = lambda: next(answers, good.now > 1_790_000_500)
    good.cycle()
    assert good.cycle().hold is not None, "not before its time"
    good.now += 1000
    account = good.cycle()
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.CONVERGED)
    assert good.parts.memory.bad() == {}


def test_an_attempt_that_did_not_end_is_made_once_more(good: Host) -> None:
    good.commit("good", "more")
    good.dies(1)
    account = good.cycle()
    assert (int(account.exit), host_phase(account)) == (0, HostPhase.CONVERGED)
    assert good.parts.memory.trial() is None


def test_an_attempt_that_twice_did_not_end_is_taken_back(good: Host) -> None:
    good.commit("good", "more")
    good.dies(1)
    (good.target / "more").unlink()  # so that there is something left to apply
    good.dies(1)
    account = good.cycle()
    assert good.files() == {"web": "good"}
    assert (int(account.exit), host_phase(account)) == (8, HostPhase.ROLLED_BACK)
    assert "never ended" in problems(account)["rolled-back"]
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.parts.memory.trial() is None


def test_a_first_state_that_twice_did_not_end_is_left_to_a_person(host: Host) -> None:
    host.commit("good")
    host.dies(1)
    (host.target / "web").unlink()
    host.dies(1)
    host.engine.deaths = 1
    account = host.cycle()
    assert host.engine.deaths == 1, "nothing is applied any more"
    assert "nothing-to-go-back-to" in problems(account)
    host.engine.deaths = 0
    host.commit("good", "more")
    assert int(host.cycle().exit) == 0


def test_a_way_back_that_was_cut_off_is_gone_to_its_end(good: Host) -> None:
    good.commit("bad", "brought")
    good.while_it_settles = lambda: setattr(good.engine, "deaths", 1)
    with pytest.raises(Dead):
        good.cycle()
    account = good.cycle()
    assert good.files() == {"web": "good"}
    assert host_phase(account) is HostPhase.ROLLED_BACK
    assert good.reporter.attempts == 1


def test_a_cycle_that_is_to_end_while_it_settles_leaves_the_judgement_to_the_next(good: Host) -> None:
    good.commit("bad")
    good.while_it_settles = good.engine.stop
    account = good.cycle()
    assert account.rollback is None
    trial = good.parts.memory.trial()
    assert trial is not None
    assert trial.tries == 0
    good.while_it_settles = lambda: None
    good.engine.stopped = False
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.files() == {"web": "good"}


def test_a_suspended_host_leaves_the_judgement_to_the_cycle_after_it_is_resumed(good: Host) -> None:
    memory, digest = good.parts.memory, good.parts.memory.applied().good
    good.commit("bad", "brought")
    good.dies(1)
    memory.keep_suspension(Suspension("somebody looks at it", good.now))
    (good.target / "web").write_text("good\n")
    good.cycle()
    assert (memory.trial() is None, memory.applied().good) == (False, digest)
    memory.keep_suspension(None)
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.files() == {"web": "good"}


def test_a_way_back_that_was_cut_off_waits_while_the_host_is_suspended(good: Host) -> None:
    good.commit("bad", "brought")
    good.dies(2)  # of its change, and of the way back
    good.parts.memory.keep_suspension(Suspension("somebody looks at it", good.now))
    good.cycle()
    assert good.files() == {"web": "good", "brought": "bad"}
    good.parts.memory.keep_suspension(None)
    assert host_phase(good.cycle()) is HostPhase.ROLLED_BACK
    assert good.files() == {"web": "good"}


def test_a_way_back_that_fails_wakes_people_and_is_not_gone_again_and_again(good: Host) -> None:
    web = good.target / "web"

    def block() -> None:
        if web.is_file():
            web.unlink()
            (web / "of somebody").mkdir(parents=True)

    good.commit("bad")
    good.while_it_settles = block
    account = good.cycle()
    failure = next(failure for failure in account.failures if failure.kind == "rollback-failed")
    assert (failure.consequence, int(account.exit)) == (Consequence.STALL, 8)
    later = []
    for _ in range(3):
        good.now += 200
        later.append(good.cycle())
    assert [each.rollback for each in later] == [None] * 3
    assert good.parts.memory.state().attempts["web"].failures < 6
    shutil.rmtree(web)
    web.write_text("good\n")
    good.while_it_settles = lambda: None
    good.now += 3600
    account = good.cycle()
    assert (good.files(), host_phase(account)) == ({"web": "good"}, HostPhase.ROLLED_BACK)


def test_a_git_server_that_is_away_for_ten_minutes_marks_nothing_bad(good: Host, tmp_path: Path) -> None:
    away = tmp_path / "away"
    good.commit("better", check="better")

    def answers() -> bool:
        there = good.repo.path.exists()
        if there and not away.exists():
            good.repo.path.rename(away)  # it was asked before the change, and is gone behind it
        return there

    good.answers = answers
    assert host_phase(good.cycle()) is HostPhase.INCONCLUSIVE
    (good.target / "web").write_text("by hand\n")
    for _ in range(4):
        good.now += 150
        account = good.cycle()
        assert int(account.exit) == 4
        assert good.files()["web"] in ("good", "better")  # whatever was done by hand is not
    away.rename(good.repo.path)
    good.answers = lambda: True
    good.now += FIRST_DOUBT_S
    account = good.cycle()
    assert (int(account.exit), host_phase(account), good.files()) == (0, HostPhase.CONVERGED, {"web": "better"})
    assert good.parts.memory.bad() == {}
