from agent.domain import codec
from agent.domain.deploy_errors import deploy_errors
from agent.domain.desired import Mode, OnRemove
from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.plan import Cause, Hold, HoldKind, PermittedPlan
from agent.steps.confirm import confirm
from tests.steps.build import account, change, deploy, outcome, plan, planned, result, state

OLD = AppliedDeploy("0" * 64, {"file:/etc/motd": "0" * 64})


def test_a_deploy_in_sync_is_applied_whoever_made_it_so():
    kept = confirm(state(), plan(planned()), Outcome(), {})
    assert kept["motd"] == AppliedDeploy(deploy().digest, {"file:/etc/motd": deploy().resources[0].digest})


def test_what_is_still_wanted_after_its_deploy_ended_well_is_not_idempotent():
    after = plan(planned(change(resource="op:restart#1")))
    assert confirm(state(), after, outcome(Status.DONE), {})["motd"].not_idempotent == ("op:restart#1",)


def test_what_somebody_changed_while_its_deploy_repaired_something_else_is_drift_and_not_held():
    both = state(deploy(resources=("file:/etc/motd", "file:/etc/issue")))
    after = plan(planned(change(resource="file:/etc/issue", cause=Cause.DRIFT)))
    other, same = (outcome(Status.DONE, result(resource=key)) for key in ("file:/etc/motd", "file:/etc/issue"))
    assert confirm(both, after, other, {})["motd"].not_idempotent == ()
    held = confirm(both, after, same, {})["motd"]
    assert held.not_idempotent == ("file:/etc/issue",)
    assert confirm(both, after, other, {"motd": held})["motd"].not_idempotent == ("file:/etc/issue",)


def test_what_somebody_changed_right_after_its_repair_is_drift_and_what_a_repair_does_not_change_is_held():
    def found(diff):
        return planned(change(cause=Cause.DRIFT, diff=diff))

    done = Outcome(outcome(Status.DONE, result()).deploys, (found("-evil\n+motd\n"),))
    assert confirm(state(), plan(found("-worse\n+motd\n")), done, {"motd": OLD})["motd"].not_idempotent == ()
    held = confirm(state(), plan(found("-evil\n+motd\n")), done, {"motd": OLD})["motd"]
    assert held.not_idempotent == ("file:/etc/motd",)


def test_what_differs_right_after_its_repair_is_held_where_a_unit_ran_that_may_have_written_it():
    made, found, after = result(), planned(change(diff="-1\n+motd\n")), planned(change(diff="-2\n+motd\n"))
    for kind, held in (
        ("unit:app.service", True),
        ("command:app", True),
        ("op:app#1", True),
        ("file:/etc/issue", False),
    ):
        ran = outcome(Status.DONE, result(resource=kind), deploy="app").deploys
        both = Outcome((*outcome(Status.DONE, made).deploys, *ran), (found,))
        assert bool(confirm(state(), plan(after), both, {"motd": OLD})["motd"].not_idempotent) is held


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
    assert [error.message for error in deploy_errors(told)] == ["motd failed: E: no such package"]


def test_a_deploy_that_cannot_be_planned_is_an_error():
    told = account(after=plan(planned(error="no such user")))
    assert [error.kind for error in deploy_errors(told)] == ["deploy-unplannable"]


def test_a_deploy_that_waits_to_be_tried_again_still_counts_as_failed():
    hold = Hold(HoldKind.BACKOFF, "failed twice; will be tried again", 2000)
    told = account(after=plan(), permitted=PermittedPlan(plan(), {}, (), {"motd": hold}))
    assert [(error.kind, int(error.exit)) for error in deploy_errors(told)] == [("backoff", 7)]


def test_a_cycle_that_was_stopped_before_a_deploy_began_says_so():
    told = account(outcome=outcome(Status.SKIPPED, error="stopped before it began"))
    assert [(error.kind, int(error.exit)) for error in deploy_errors(told)] == [("stopped", 7)]


def test_what_is_skipped_behind_a_failure_is_not_told_as_stopped():
    both = Outcome((*outcome(Status.FAILED, deploy="a").deploys, *outcome(Status.SKIPPED, deploy="b").deploys))
    assert [error.kind for error in deploy_errors(account(outcome=both))] == ["deploy-failed"]


LEAVES = OnRemove("deploys/motd_absent.py", {}, "c" * 40)


def test_what_a_deploy_says_is_to_be_run_when_it_has_left_is_remembered_with_it():
    kept = confirm(state(deploy(on_remove=LEAVES)), plan(planned()), Outcome(), {})
    assert kept["motd"].on_remove == LEAVES


def test_of_an_observed_deploy_nothing_is_ever_to_be_run():
    kept = confirm(state(deploy(on_remove=LEAVES, mode=Mode.OBSERVE)), plan(planned()), Outcome(), {})
    assert kept["motd"].on_remove is None


def test_a_deploy_that_said_so_is_not_forgotten_when_it_leaves():
    gone = AppliedDeploy("0" * 64, on_remove=LEAVES)
    assert confirm(state(), plan(planned()), Outcome(), {"gone": gone})["gone"] == gone


# --- What code owns ---------------------------------------------------------------------------------------------------

GUARDED, PLAIN = "file:/srv/cond", "file:/srv/plain"


def code(version="1"):
    return deploy("app", resources=(), version=version, source="deploys/app.py")


def named(*keys):
    return planned(deploy="app", resources=("op:put#1", *keys))


def own(before, *, version="1", found=(), after=(), status=Status.DONE):
    """What is remembered of the deploy after a cycle in which its plans named these keys."""
    ran = Outcome(outcome(status, deploy="app").deploys, (named(*found),))
    kept = confirm(state(code(version)), plan(named(*after)), ran, {"app": before} if before else {})
    return kept["app"]


def test_what_code_names_only_while_it_is_missing_stays_its_own():
    first = own(None, found=[GUARDED, PLAIN], after=[PLAIN])
    assert (first.owned, first.steady) == ((GUARDED, PLAIN), (PLAIN,))
    again = own(first, found=[PLAIN], after=[PLAIN])
    assert again == first


def test_other_code_that_does_not_name_what_the_old_always_did_has_let_it_go():
    first = own(None, found=[GUARDED, PLAIN], after=[PLAIN])
    assert own(first, version="2").owned == (GUARDED,)
    assert own(first, version="2", found=[PLAIN], after=[PLAIN]).owned == (GUARDED, PLAIN)


def test_what_was_named_only_at_times_was_never_always_named():
    always = own(None, found=[PLAIN], after=[PLAIN])
    sometimes = own(always)
    assert sometimes.owned == (PLAIN,)
    assert own(sometimes, version="2").owned == (PLAIN,)


def test_what_code_made_before_it_failed_is_its_own():
    wants = planned(change("app", "op:b#1"), deploy="app", resources=("op:b#1", PLAIN))
    failed = Outcome(outcome(Status.FAILED, deploy="app").deploys, (named(GUARDED, PLAIN),))
    first = confirm(state(code()), plan(wants), failed, {})["app"]
    assert (first.digest, first.owned) == ("", (GUARDED, PLAIN))
    assert own(first, found=[PLAIN], after=[PLAIN]).owned == (GUARDED, PLAIN)


def test_code_that_puts_something_else_in_its_place_has_let_it_go():
    first = own(None, found=[GUARDED])
    assert own(first, found=["link:/srv/cond"]).owned == ("link:/srv/cond",)


def test_what_code_owns_outlives_the_process():
    first = own(None, found=[GUARDED, PLAIN], after=[PLAIN])
    assert codec.decode(codec.encode(first), AppliedDeploy) == first
