from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import Cause, Hold, PermittedPlan
from agent.steps.confirm import confirm, failures
from tests.steps.build import account, change, deploy, outcome, plan, planned, state

OLD = AppliedDeploy("0" * 64, {"file:/etc/motd": "0" * 64})


def test_a_deploy_in_sync_is_applied_whoever_made_it_so():
    kept = confirm(state(), plan(planned()), Outcome(), {})
    assert kept["motd"] == AppliedDeploy(deploy().digest, {"file:/etc/motd": deploy().resources[0].digest})


def test_what_is_still_wanted_after_its_deploy_ended_well_is_not_idempotent():
    after = plan(planned(change(resource="op:restart#1")))
    assert confirm(state(), after, outcome(Status.DONE), {})["motd"].not_idempotent == ("op:restart#1",)


def test_a_failed_deploy_keeps_its_old_memory_so_that_its_changes_keep_their_cause():
    assert confirm(state(), plan(planned(change())), outcome(Status.FAILED), {"motd": OLD}) == {"motd": OLD}


def test_a_deploy_that_was_never_applied_and_failed_is_not_remembered():
    assert confirm(state(), plan(planned(change())), outcome(Status.FAILED), {}) == {}


def test_what_left_git_is_forgotten():
    assert "gone" not in confirm(state(), plan(planned()), Outcome(), {"gone": OLD})


def test_a_held_change_does_not_count_as_applied():
    after = plan(planned(change(cause=Cause.DRIFT)))
    assert confirm(state(), after, Outcome(), {"motd": OLD}) == {"motd": OLD}


def test_each_failed_deploy_is_one_error_with_its_reason():
    told = account(outcome=outcome(Status.FAILED, error="E: no such package"), after=plan(planned(change())))
    assert [error.message for error in failures(told)] == ["motd failed: E: no such package"]


def test_a_deploy_that_cannot_be_planned_is_an_error():
    told = account(after=plan(planned(error="no such user")))
    assert [error.kind for error in failures(told)] == ["deploy-unplannable"]


def test_a_deploy_that_waits_to_be_tried_again_still_counts_as_failed():
    hold = Hold("backoff", "failed twice; will be tried again", 2000)
    told = account(after=plan(), permitted=PermittedPlan(plan(), {}, (), {"motd": hold}))
    assert [(error.kind, int(error.exit)) for error in failures(told)] == [("backoff", 7)]


def test_a_cycle_that_was_stopped_before_a_deploy_began_says_so():
    told = account(outcome=outcome(Status.SKIPPED, error="stopped before it began"))
    assert [(error.kind, int(error.exit)) for error in failures(told)] == [("stopped", 7)]


def test_what_is_skipped_behind_a_failure_is_not_told_as_stopped():
    both = Outcome((*outcome(Status.FAILED, deploy="a").deploys, *outcome(Status.SKIPPED, deploy="b").deploys))
    assert [error.kind for error in failures(account(outcome=both))] == ["deploy-failed"]
