import pytest

from agent.domain.desired import Mode
from agent.domain.memory import Attempt
from agent.domain.plan import Cause, Hold, HoldKind
from agent.steps.permit import PermitRules, permit, permit_rules
from tests.steps.build import change, deploy, plan, planned, state


def rules(desired, *, suspension=None, attempts=None, now=1000, waits_for_backoff=True):
    return permit_rules(
        desired, suspension=suspension, attempts=attempts or {}, now=now, waits_for_backoff=waits_for_backoff
    )


def test_a_wanted_change_is_allowed_when_nothing_holds_it():
    permitted = permit(plan(planned(change())), PermitRules())
    assert permitted.allowed == {"motd": frozenset({"file:/etc/motd"})}
    assert permitted.held == ()


def test_a_deploy_in_sync_is_neither_allowed_nor_held():
    permitted = permit(plan(planned()), PermitRules())
    assert (permitted.allowed, permitted.held) == ({}, ())


def test_a_suspended_host_touches_nothing_and_says_why():
    permitted = permit(plan(planned(change())), PermitRules(everything=Hold(HoldKind.SUSPENDED, "disk")))
    assert permitted.allowed == {}
    assert [held.hold.reason for held in permitted.held] == ["disk"]


def test_an_observed_deploy_is_reported_and_not_touched():
    permitted = permit(plan(planned(change())), rules(state(deploy(mode=Mode.OBSERVE))))
    assert permitted.allowed == {}
    assert permitted.held[0].hold.kind == "observe"


def test_an_operation_that_always_says_changed_does_not_run_by_itself():
    permitted = permit(plan(planned(change(cause=Cause.NOT_IDEMPOTENT))), PermitRules())
    assert permitted.allowed == {}
    assert permitted.held[0].hold.kind == "not-idempotent"


def test_it_runs_along_with_a_real_change_of_its_deploy():
    wanted = planned(change(resource="op:restart#1", cause=Cause.NOT_IDEMPOTENT), change(cause=Cause.DRIFT))
    assert permit(plan(wanted), PermitRules()).allowed == {"motd": frozenset({"op:restart#1", "file:/etc/motd"})}


def test_what_is_unknown_until_applied_may_go_on_behind_the_others():
    permitted = permit(plan(planned(change()), planned(deploy="late", unknown="no such user")), PermitRules())
    assert set(permitted.allowed) == {"motd", "late"}


def test_a_deploy_that_failed_waits_for_its_next_try():
    failed = {"motd": Attempt(deploy().digest, 2, 1100)}
    held = rules(state(), attempts=failed).deploys["motd"]
    assert (held.kind, held.until) == ("backoff", 1100)


def test_while_it_waits_it_says_of_what_it_failed_and_who_waits_for_it_too():
    desired = state(deploy(), deploy("site", needs=("motd",)))
    held = rules(desired, attempts={"motd": Attempt(deploy().digest, 1, 1100, "no such user")}).deploys
    assert held["motd"].reason == "failed once: no such user; will be tried again"
    assert held["site"].reason == f"waits for motd, which {held['motd'].reason}"


@pytest.mark.parametrize("more", [{"now": 1100}, {"waits_for_backoff": False}, {"now": -9000}])
def test_the_wait_ends_with_its_time_when_a_person_asks_or_when_the_clock_was_put_back(more):
    assert rules(state(), attempts={"motd": Attempt(deploy().digest, 2, 1100)}, **more).deploys == {}


def test_a_deploy_that_moved_in_git_does_not_wait_for_what_its_predecessor_did():
    assert rules(state(), attempts={"motd": Attempt("0" * 64, 9, 9999)}).deploys == {}


def test_what_needs_a_waiting_deploy_waits_with_it_and_others_do_not():
    desired = state(deploy(), deploy("site", needs=("motd",)), deploy("other"))
    assert set(rules(desired, attempts={"motd": Attempt(deploy().digest, 1, 1100)}).deploys) == {"motd", "site"}
