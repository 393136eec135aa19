from agent.domain.account import Account
from agent.domain.desired import Mode, OnRemove
from agent.domain.host_phase import HostPhase
from agent.domain.memory import LONGEST_BACKOFF_S, ON_REMOVE, AdoptedCommit, Applied, AppliedDeploy, Attempt, State
from agent.domain.outcome import Outcome, Status
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.plan import Cause, Hold, HoldKind, PermittedPlan
from agent.domain.removal import Fate, Leaving, Pruned, Removal
from agent.errors import DeployError, InventoryError, ReportError, SourceError
from agent.host.events import Events
from agent.host.exports import Exports
from agent.host.journal import Journal
from agent.host.paths import Paths
from agent.host.repositories import Repositories
from agent.host.resolved import ResolvedFor, ResolvedStates
from agent.host.state import Memory
from agent.steps.remember import (
    FIRST_BACKOFF_S,
    applied_after,
    attempts_after,
    host_phase,
    remember,
    state_after,
)
from agent.system.systemd import UNTOLD
from tests.steps.build import SHA, account, change, deploy, health, outcome, plan, planned, state


def whole(**more):
    kept = {"motd": AppliedDeploy(deploy().digest)}
    return account(after=plan(planned()), applied=kept, **more)


def test_a_host_that_is_what_git_says_is_converged():
    assert host_phase(whole(health=health())) is HostPhase.CONVERGED


def test_a_remote_that_is_away_does_not_make_a_converged_host_a_failed_one():
    assert host_phase(whole(failures=[SourceError("away"), ReportError("away")])) is HostPhase.CONVERGED


def test_a_commit_that_cannot_be_read_does():
    assert host_phase(whole(failures=[InventoryError("broken")])) is HostPhase.FAILED


def test_a_unit_that_fails_makes_it_unhealthy():
    assert host_phase(whole(health=health("nginx.service has failed"))) is HostPhase.UNHEALTHY


def test_drift_that_may_not_be_repaired_is_told():
    assert host_phase(account(after=plan(planned(change(cause=Cause.DRIFT))))) is HostPhase.DRIFTED


def test_an_intended_change_that_is_held_is_waited_for():
    assert host_phase(account(after=plan(planned(change())))) is HostPhase.WAITING


def test_an_operation_that_always_says_changed_keeps_no_host_from_being_converged():
    kept = {"motd": AppliedDeploy(deploy().digest, {}, ("file:/etc/motd",))}
    assert host_phase(account(after=plan(planned(change())), applied=kept)) is HostPhase.CONVERGED


def test_a_commit_is_adopted_once_and_soaks_while_the_host_is_well():
    first = applied_after(Applied(), whole(health=health()), 100)
    again = applied_after(first, whole(health=health()), 160)
    assert again.adopted == (AdoptedCommit(SHA, 100, well_since=100),)
    assert again.adopted[0].soaked(160) == 60


def test_a_host_that_is_not_well_starts_its_soak_again():
    first = applied_after(Applied(), whole(health=health()), 100)
    ill = applied_after(first, whole(health=health("x has failed")), 160)
    well = applied_after(ill, whole(health=health()), 200)
    assert [each.adopted[0].soaked(210) for each in (ill, well)] == [0, 10]


def test_the_next_commit_ends_the_soak_of_the_one_before():
    first = applied_after(Applied(), whole(health=health()), 100)
    other = state(commit="b" * 40)
    second = applied_after(first, whole(health=health(), state=other), 150)
    assert [(each.sha[0], each.soaked(999)) for each in second.adopted] == [("a", 50), ("b", 849)]


def test_a_state_that_was_not_reached_as_a_whole_is_not_the_applied_one():
    partly = account(after=plan(planned(change())), applied={}, health=health())
    assert applied_after(Applied(), partly, 100).commit is None


def test_an_unhealthy_state_that_was_not_on_trial_is_applied_and_not_good():
    after = applied_after(Applied(), whole(health=health("x has failed")), 100)
    assert (after.digest, after.good) == (state().digest, None)


def failing(**more):
    return account(outcome=outcome(Status.FAILED), after=plan(planned(change())), **more)


def test_each_failure_in_a_row_doubles_the_wait_up_to_its_limit():
    attempts, waits = {}, []
    for _ in range(8):
        attempts = attempts_after(attempts, failing(), state(), 0)
        waits.append(attempts["motd"].not_before)
    assert waits[:3] == [FIRST_BACKOFF_S, 2 * FIRST_BACKOFF_S, 4 * FIRST_BACKOFF_S]
    assert waits[-1] == LONGEST_BACKOFF_S


def test_the_reason_of_a_failure_is_kept_until_the_next_try():
    applied = account(outcome=outcome(Status.FAILED, error="boom: no space"))
    unplannable = account(plan=plan(planned(error="no such user\nand more")))
    kept = [attempts_after({}, each, state(), 0)["motd"].error for each in (applied, unplannable)]
    assert kept == ["boom: no space", "no such user"]


def test_success_forgets_the_failures():
    attempts = attempts_after({}, failing(), state(), 0)
    assert attempts_after(attempts, account(outcome=outcome(Status.DONE)), state(), 9) == {}


def test_a_cycle_that_waits_learns_nothing_and_keeps_the_count():
    before = {"motd": Attempt(deploy().digest, 3, 500)}
    held = PermittedPlan(plan(), {}, (), {"motd": Hold(HoldKind.BACKOFF, "")})
    waiting = account(plan=plan(planned(error="boom")), permitted=held, outcome=Outcome())
    assert attempts_after(before, waiting, state(), 400) == before


def test_units_that_had_failed_at_first_are_forgiven_until_they_recover():
    ill = account(health=health(failed=("old.service",)), failed_at_first=("old.service",))
    well = account(health=health(), failed_at_first=("old.service",))
    assert state_after(State(), ill, 1).failed_at_first == ("old.service",)
    assert state_after(State(), well, 2).failed_at_first == ()


def test_units_are_still_forgiven_after_a_cycle_in_which_systemd_was_silent():
    silent = account(health=health(failed=(UNTOLD,)), failed_at_first=("old.service",))
    assert state_after(State(), silent, 1).failed_at_first == ("old.service",)
    assert state_after(State(), account(failed_at_first=(UNTOLD,)), 1).failed_at_first is None


def test_a_state_that_was_not_planned_to_its_end_is_not_reached():
    assert not account(state=state(deploy(mode=Mode.OBSERVE))).whole


def test_a_host_whose_deploy_fails_does_not_soak():
    after = applied_after(Applied(), whole(health=health(), failures=[DeployError("motd failed")]), 100)
    assert (after.commit, after.good, after.adopted[0].well_since) == (SHA, None, None)


def test_units_stay_forgiven_when_nobody_could_look():
    assert state_after(State(), account(failed_at_first=("old.service",)), 1).failed_at_first == ("old.service",)


ENTRY = LedgerEntry("file:/etc/x", "app", 5, Origin.CREATED, standing=Standing.ORPHANED)
HELD = Pruned(leaving=Leaving((Removal(ENTRY, Fate.REMOVE, hold=Hold(HoldKind.PRUNE_HELD, "too many")),)))
LEAVES = OnRemove("deploys/app_absent.py", {}, "c" * 40)


def departing(**more):
    kept = {"motd": AppliedDeploy(deploy().digest), "app": AppliedDeploy("1" * 64, on_remove=LEAVES)}
    return account(after=plan(planned()), applied=kept, **more)


def test_what_stays_as_an_orphan_keeps_no_host_from_being_converged():
    assert host_phase(whole(health=health(), pruned=Pruned(standing=(ENTRY,)))) is HostPhase.CONVERGED


def test_what_left_git_and_is_held_is_waited_for():
    assert host_phase(whole(health=health(), pruned=HELD)) is HostPhase.WAITING


def test_the_commit_at_which_nothing_was_left_to_remove_is_remembered():
    assert state_after(State(pruned="b" * 40), whole(pruned=Pruned()), 5).pruned == SHA
    for unsettled in (HELD, Pruned(waits="the host is not well"), Pruned(failures=(DeployError("no"),)), None):
        assert state_after(State(pruned="b" * 40), whole(pruned=unsettled), 5).pruned == "b" * 40


def test_a_state_is_not_the_good_one_while_what_left_with_it_waits():
    entry = LedgerEntry("file:/etc/old", "old", 1, Origin.CREATED)
    for waits, removals in (("motd is not as wanted", [Removal(entry, Fate.REMOVE)]), ("not fit", []), ("", [])):
        left = Pruned(waits, Leaving(tuple(removals)))
        after = applied_after(Applied(good="before"), whole(health=health(), pruned=left), 100)
        assert (after.good == "before") is bool(removals)


def test_a_state_with_which_the_host_had_no_time_to_settle_is_not_the_good_one():
    assert applied_after(Applied(), whole(health=health(), unsettled=True), 100).good is None


def test_what_was_run_when_a_deploy_left_is_forgotten_with_it_and_not_before():
    assert "app" in applied_after(Applied(), departing(), 5).deploys
    done = Pruned(departed={"app": LEAVES.source})
    assert "app" not in applied_after(Applied(), departing(pruned=done), 5).deploys


def test_what_fails_when_a_deploy_has_left_waits_longer_each_time():
    key = f"{ON_REMOVE}app"
    failed = departing(pruned=Pruned(stayed={"app": "exit status 1\nand more"}))
    first = attempts_after({}, failed, state(), 100)
    assert first == {key: Attempt(LEAVES.commit, 1, 100 + FIRST_BACKOFF_S, "exit status 1")}
    assert attempts_after(first, departing(pruned=Pruned()), state(), 130) == first
    assert attempts_after(first, failed, state(), 200)[key].failures == 2
    done = departing(pruned=Pruned(departed={"app": LEAVES.source}))
    assert attempts_after(first, done, state(), 300) == {}
    assert attempts_after(first, whole(), state(), 300) == {}, "it has come back"


def remembered(account, paths):
    remember(
        account,
        memory=Memory(paths),
        journal=Journal(paths.journal),
        exports=Exports(paths.commits, None),
        resolved=ResolvedStates(paths.resolved, ResolvedFor("", "prod", "web1")),
        repositories=Repositories(paths.repositories, None),
        events=Events(paths.events),
        commands=paths.commands,
        now=5,
    )


def test_that_a_command_has_run_is_forgotten_when_no_deploy_wants_it_any_more(tmp_path):
    paths = Paths(tmp_path)
    paths.commands.mkdir(parents=True)
    for name in ("kept", "gone"):
        (paths.commands / name).write_text("digest")
    remembered(Account(), paths)
    assert len(list(paths.commands.iterdir())) == 2, "nobody knows what is wanted"
    remembered(Account(state=state(deploy("command", resources=("command:kept",)))), paths)
    assert [file.name for file in paths.commands.iterdir()] == ["kept"]


def test_the_commit_that_says_what_to_run_is_kept_as_long_as_it_may_be_run(tmp_path):
    paths = Paths(tmp_path)
    for sha in (LEAVES.commit, "d" * 40):
        (paths.commits / sha).mkdir(parents=True)
    remembered(departing(), paths)
    assert [folder.name for folder in paths.commits.iterdir()] == [LEAVES.commit]
    assert Memory(paths).applied().deploys["app"].on_remove == LEAVES
