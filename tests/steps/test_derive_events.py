from dataclasses import replace

from agent.domain.account import Milestone
from agent.domain.check import CheckResult
from agent.domain.memory import Applied, AppliedDeploy
from agent.domain.outcome import DeployOutcome, Outcome, Status
from agent.domain.ownership import LedgerEntry, Origin
from agent.domain.plan import Cause, HeldChange, Hold, HoldKind, PermittedPlan
from agent.domain.removal import Fate, Leaving, Pruned, Removal
from agent.errors import InventoryError, SourceError
from agent.steps.derive_events import derive_events
from agent.steps.probe import assess
from tests.steps.build import VITALS, account, change, deploy, health, outcome, plan, planned, result


def kinds(told):
    return [event.kind for event in told[0]]


def test_a_repaired_drift_is_told_with_its_diff():
    drift = change(cause=Cause.DRIFT, diff="-by hand\n+by git\n")
    told = account(plan=plan(planned(drift)), outcome=outcome(Status.DONE, result()))
    (event,) = derive_events(told, Applied(), (), 5)[0]
    assert (event.kind, event.resource, event.diff) == ("drift-repaired", "file:/etc/motd", "-by hand\n+by git\n")


def test_a_failed_operation_is_told_by_its_last_line_and_then_with_its_whole_output():
    told = account(plan=plan(planned(change())), outcome=outcome(Status.FAILED, result(succeeded=False, error="a\nb")))
    (event,) = derive_events(told, Applied(), (), 5)[0]
    assert (event.kind, event.message) == ("failed", "write file:/etc/motd: b\na\nb")


def test_a_commit_is_told_when_it_is_reached_and_not_again():
    reached = account(after=plan(planned()), applied={"motd": AppliedDeploy(deploy().digest)})
    assert kinds(derive_events(reached, Applied(), (), 5)) == ["adopted"]
    assert kinds(derive_events(reached, Applied(commit=reached.state.commit), (), 5)) == []


def test_a_standing_problem_is_told_once_and_its_end_too():
    failing = account(failures=[SourceError("the remote is away")])
    first, told = derive_events(failing, Applied(), (), 5)
    assert [event.kind for event in first] == ["problem-source-unreachable"]
    assert derive_events(failing, Applied(), told, 6) == ((), told)
    assert kinds(derive_events(account(), Applied(), told, 7)) == ["recovered"]


def test_what_stands_is_not_told_again_when_something_else_joins_it_or_its_numbers_change():
    away, broken = SourceError("no answer after 12 ms"), InventoryError("hosts.yaml: not YAML")
    _, told = derive_events(account(failures=[away]), Applied(), (), 5)
    later, _ = derive_events(account(failures=[SourceError("no answer after 7 ms"), broken]), Applied(), told, 6)
    assert [event.kind for event in later] == ["problem-inventory"]


def test_a_change_that_came_about_while_applying_is_told_with_its_cause():
    restart = planned(change(resource="unit:nginx", cause=Cause.DRIFT))
    done = replace(outcome(Status.DONE, result(resource="unit:nginx")), found=(restart,))
    (event,) = derive_events(account(plan=plan(planned()), outcome=done), Applied(), (), 5)[0]
    assert (event.kind, event.resource) == ("drift-repaired", "unit:nginx")


def test_what_a_change_of_git_set_off_is_told_with_its_reason_and_as_no_drift():
    reload = planned(replace(change(resource="unit:nginx"), set_off="set off by file:/x of deploy config"))
    done = replace(outcome(Status.DONE, result(resource="unit:nginx")), found=(reload,))
    (event,) = derive_events(account(plan=plan(planned()), outcome=done), Applied(), (), 5)[0]
    assert (event.kind, event.message) == ("applied", "write unit:nginx (set off by file:/x of deploy config)")


def test_a_commit_that_did_harm_and_stays_is_not_told_as_reached():
    reached = account(after=plan(planned()), applied={"motd": AppliedDeploy(deploy().digest)}, harm=("web: http",))
    assert kinds(derive_events(reached, Applied(), (), 5)) == []


def test_each_event_bears_the_time_at_which_it_happened_and_they_stand_in_that_order():
    away = SourceError("the remote is away")
    away.at = 1
    done = Outcome((DeployOutcome("motd", Status.DONE, (result(), result(resource="file:/x")), times=(3, 4)),))
    told = account(
        plan=plan(planned(change())),
        outcome=done,
        failures=[away],
        hold=Hold(HoldKind.SUSPENDED, "disk"),
        health=health("sick"),
        times={Milestone.AIMED: 2, Milestone.JUDGED: 5},
    )
    events = derive_events(told, Applied(), (), 9)[0]
    assert [(event.at, event.kind) for event in events] == [
        (1, "problem-source-unreachable"),
        (2, "suspended"),
        (3, "applied"),
        (4, "applied"),
        (5, "unhealthy"),
    ]


def test_a_suspension_is_told_once():
    held = account(hold=Hold(HoldKind.SUSPENDED, "disk"))
    first, told = derive_events(held, Applied(), (), 5)
    assert [(event.kind, event.message) for event in first] == [("suspended", "disk")]
    assert derive_events(held, Applied(), told, 6)[0] == ()


def test_a_held_change_is_told_with_its_reason():
    drift = change(cause=Cause.DRIFT)
    held = PermittedPlan(plan(planned(drift)), {}, (HeldChange(drift, Hold(HoldKind.OBSERVE, "only looking")),), {})
    (event,) = derive_events(account(plan=plan(planned(drift)), permitted=held), Applied(), (), 5)[0]
    assert (event.kind, event.message) == ("held-drift", "write file:/etc/motd: only looking")


def entry(key):
    return LedgerEntry(key, "app", 5, Origin.CREATED)


def test_each_fate_is_told_with_its_reason():
    removals = (
        Removal(entry("file:/a"), Fate.REMOVE),
        Removal(entry("file:/b"), Fate.ORPHAN, "changed since: content"),
        Removal(entry("file:/c"), Fate.RELEASE),
    )
    events, _ = derive_events(account(pruned=Pruned(done=removals, departed={"web": "x.py"})), Applied(), (), 5)
    assert [(event.kind, event.deploy, event.resource) for event in events] == [
        ("departed", "web", ""),
        ("pruned", "app", "file:/a"),
        ("orphaned", "app", "file:/b"),
        ("released", "app", "file:/c"),
    ]
    assert events[2].message == "left Git, and stays: changed since: content"


def test_what_is_held_is_told_once_whatever_else_happens():
    hold = Hold(HoldKind.PRUNE_HELD, "too many")
    held = Leaving(tuple(Removal(entry(f"file:/{letter}"), Fate.REMOVE, hold=hold) for letter in "abcdefg"))
    first, told = derive_events(account(pruned=Pruned(leaving=held)), Applied(), (), 5)
    assert [(event.kind, event.message) for event in first] == [
        ("prune-held", "file:/a, file:/b, file:/c, file:/d, file:/e, …: too many")
    ]
    assert derive_events(account(pruned=Pruned(leaving=held)), Applied(), told, 6)[0] == ()
    assert kinds(derive_events(account(pruned=Pruned()), Applied(), told, 7)) == ["recovered"]


def test_a_removal_that_a_policy_denies_is_told_as_denied():
    held = Removal(entry("file:/a"), Fate.REMOVE, hold=Hold(HoldKind.POLICY, "kept on every host"))
    (event,) = derive_events(account(pruned=Pruned(leaving=Leaving((held,)))), Applied(), (), 5)[0]
    assert (event.kind, event.message) == ("policy", "file:/a: kept on every host")


def test_evidence_of_a_hand_edit_stands_before_its_repair():
    drift = account(plan=plan(planned(change(cause=Cause.DRIFT))), outcome=outcome(Status.DONE, result()))
    events, _ = derive_events(replace(drift, evidence=("root logged in",)), Applied(), (), 5)
    assert [event.kind for event in events] == ["evidence", "drift-repaired"]
    assert events[0].message == "what happened here at that time, 1 line: a hint at who changed it, no proof"


def test_a_check_that_fails_is_told_once_whatever_it_says():
    def seen(output):
        check = CheckResult("web", "http 8080", passed=False, output=output)
        found = assess(VITALS, (), (), reboot_required=False, checks=(check,))
        return account(health=found, after=plan(planned()))

    first, told = derive_events(seen("502, wanted 200"), Applied(), (), 1)
    again, _ = derive_events(seen("connection refused"), Applied(), told, 2)
    assert ([event.kind for event in first], again) == (["unhealthy"], ())
