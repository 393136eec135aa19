"""What counts against an intended change, and when it is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.check import CheckResult
from agent.domain.health import Health
from agent.domain.memory import LONGEST_BACKOFF_S, AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import Cause, PermittedPlan
from agent.domain.trial import FIRST_DOUBT_S, Bad, Trial
from agent.steps.trial import HealthSource, begin_trial, evaluate_trial, settles_at_once, watch_health
from agent.system.systemd import UNTOLD
from tests.steps.build import change, deploy, health, outcome, plan, planned, result, state

NOW = 1_790_000_000
WEB = Trial("d" * 64, "c" * 40, NOW, touched=("web",))
FAILING = CheckResult("web", "http 8080", passed=False, output="502, wanted 200")


def seen(*checks: CheckResult, failed: tuple[str, ...] = ()) -> Health:
    return replace(health(failed=failed), checks=checks)


class Course:
    """A host whose health follows a script, one entry a look; the last one stays. Its clock moves by sleeping alone."""

    def __init__(self, *healths: Health, remote: bool = True) -> None:
        self._healths = list(healths)
        self._remote = remote
        self.now = 0.0
        self.stopping = False

    def senses(self) -> HealthSource:
        return HealthSource(
            self._health, lambda: self._remote, lambda: self.stopping, sleep=self._sleep, monotonic=lambda: self.now
        )

    def _health(self) -> Health:
        return self._healths.pop(0) if len(self._healths) > 1 else self._healths[0]

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("trial", "sign", "counts"),
    [
        pytest.param(
            replace(WEB, passed=("web: http 8080",), known=("web: http 8080",)), FAILING, True, id="passed before"
        ),
        pytest.param(WEB, FAILING, True, id="new here"),
        pytest.param(replace(WEB, known=("web: http 8080",)), FAILING, False, id="failed before"),
        pytest.param(replace(WEB, touched=("db",)), FAILING, False, id="of another deploy"),
        pytest.param(WEB, replace(FAILING, passed=True), False, id="passes"),
    ],
)
def test_a_failing_check_counts_if_its_deploy_was_touched_and_it_passed_or_is_new(
    trial: Trial, sign: CheckResult, counts: bool
) -> None:
    assert evaluate_trial(trial, seen(sign), remote=True) == (("web: http 8080: 502, wanted 200",) if counts else ())


def test_a_unit_counts_that_has_failed_since() -> None:
    trial = replace(WEB, failed_units=("old.service",))
    assert evaluate_trial(trial, seen(failed=("old.service", "new.service")), remote=True) == (
        "new.service has failed",
    )


def test_units_count_where_it_is_known_which_had_failed() -> None:
    assert evaluate_trial(replace(WEB, failed_units=(UNTOLD,)), seen(failed=("new.service",)), remote=True) == ()
    assert len(evaluate_trial(WEB, seen(failed=(UNTOLD,)), remote=True)) == 1


def test_a_config_repo_that_cannot_be_reached_any_more_counts() -> None:
    assert len(evaluate_trial(WEB, seen(), remote=False)) == 1


def test_what_could_not_be_reached_before_does_not_count() -> None:
    course = Course(seen(), remote=False)
    assert watch_health(replace(WEB, remote=False), course.senses(), settle_s=0, to_the_end=True)[1] == ()


def test_what_comes_up_while_it_settles_is_well() -> None:
    course = Course(seen(FAILING), seen(FAILING), seen(replace(FAILING, passed=True)))
    assert watch_health(WEB, course.senses(), settle_s=60, to_the_end=True)[1] == ()


def test_what_falls_while_it_settles_is_bad() -> None:
    course = Course(seen(replace(FAILING, passed=True)), seen(FAILING))
    assert watch_health(WEB, course.senses(), settle_s=60, to_the_end=True)[1] != ()
    assert course.now == 60


@pytest.mark.parametrize(
    ("resource", "inert"), [("file:/etc/motd", True), ("unit:web.service", False), ("op:x#1", False)]
)
def test_only_what_may_have_an_after_effect_is_watched(resource: str, inert: bool) -> None:
    assert settles_at_once(outcome(Status.DONE, result(resource=resource))) is inert


def test_of_what_nobody_knows_anything_is_expected() -> None:
    assert not settles_at_once(Outcome())


@pytest.mark.parametrize(("to_the_end", "seconds"), [(True, 60), (False, 0)])
def test_what_is_well_is_watched_to_the_end_where_that_matters(to_the_end: bool, seconds: int) -> None:
    course = Course(seen())
    watch_health(WEB, course.senses(), settle_s=60, to_the_end=to_the_end)
    assert course.now == seconds


def test_what_is_not_well_yet_is_waited_for() -> None:
    course = Course(seen(FAILING), seen())
    assert watch_health(WEB, course.senses(), settle_s=60, to_the_end=False)[1] == ()
    assert 0 < course.now < 60


def test_a_cycle_that_is_to_end_does_not_wait() -> None:
    course = Course(seen(FAILING))
    course.stopping = True
    watch_health(WEB, course.senses(), settle_s=60, to_the_end=True)
    assert course.now == 0


def test_what_is_tried_again_is_on_trial_with_all_that_it_changes() -> None:
    wanted = plan(planned(change("web", cause=Cause.INTERRUPTED), deploy="web"))
    permitted = PermittedPlan(wanted, {"web": frozenset({"file:/etc/motd"})}, (), {})
    course = Course(seen(FAILING), remote=True)
    for again, touched in ((False, ()), (True, ("web",))):
        trial = begin_trial(state(deploy("web")), permitted, applied={}, source=course.senses(), again=again, now=NOW)
        assert trial.touched == touched


def test_a_trial_remembers_what_held_before_it() -> None:
    wanted = plan(
        planned(change("web"), deploy="web"),
        planned(change("motd", cause=Cause.DRIFT)),
        planned(deploy="late", unknown="not there yet"),
        planned(change("held"), deploy="held"),
    )
    allowed = {name: frozenset({"file:/etc/motd"}) for name in ("web", "motd", "late")}
    course = Course(seen(FAILING, CheckResult("web", "tcp 22", passed=True), failed=("old.service",)), remote=False)
    trial = begin_trial(
        state(deploy("web"), deploy(), deploy("late"), deploy("held")),
        PermittedPlan(wanted, allowed, (), {}),
        applied={"web": AppliedDeploy("d", checks=("http 8080",))},
        source=course.senses(),
        now=NOW,
    )
    assert (trial.touched, trial.passed, trial.failed_units) == (("web", "late"), ("web: tcp 22",), ("old.service",))
    assert (trial.known, trial.remote, trial.tries) == (("web: http 8080",), False, 1)


def test_a_doubt_doubles_up_to_half_an_hour_and_ends() -> None:
    first = Bad("d" * 64, "c" * 40, NOW, "why").in_doubt(NOW)
    assert (first.until, first.is_current(NOW), first.is_current(NOW + FIRST_DOUBT_S)) == (
        NOW + FIRST_DOUBT_S,
        True,
        False,
    )
    assert replace(first, times=9).in_doubt(NOW).until == NOW + LONGEST_BACKOFF_S
    assert Bad("d" * 64, "c" * 40, NOW, "why").is_current(NOW + 10 * LONGEST_BACKOFF_S)
