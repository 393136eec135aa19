"""prune: when it may remove anything at all, and how it does; on real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.deploys import systemctl
from agent.deploys.containers import host as containers
from agent.domain.desired import Mode, OnRemove, Resource
from agent.domain.memory import ON_REMOVE, AppliedDeploy, Attempt, State
from agent.domain.ownership import LedgerEntry, Origin, Seen, Standing
from agent.domain.plan import Cause, Hold, HoldKind
from agent.domain.removal import Fate
from agent.errors import DeployError, ReportError, SourceError
from agent.problems import ProblemKind
from agent.steps import remove as step
from agent.steps.prune import leaving_units, unfit
from agent.steps.record import look
from tests.steps.build import change, deploy, health, plan, planned, state
from tests.steps.pruning import NOW, Busy, Host, fates, host_below, well

# --- Whether ----------------------------------------------------------------------------------------------------------


def test_a_host_as_wanted_and_well_is_fit() -> None:
    assert unfit(well(), converged=True) == ""


@pytest.mark.parametrize(
    "what",
    [
        {"after": None},
        {"state": None},
        {"health": None},
        {"health": health("nginx.service has failed")},
        {"hold": Hold(HoldKind.SUSPENDED, "the disk is being replaced")},
        {"after": plan(planned(change()))},
        {"after": plan(planned(unknown="later"))},
        {"after": plan(planned(error="no such user"))},
        {"failures": [DeployError("motd failed")]},
    ],
    ids=lambda what: next(iter(what)),
)
def test_any_other_host_keeps_what_it_has(what: dict[str, Any]) -> None:
    assert unfit(well(**what), converged=True) != ""


def test_a_unit_that_is_to_go_or_to_lose_what_it_failed_of_is_no_reason_to_keep_it() -> None:
    ill = well(health=health("shop.service has failed", "ssh.service has failed"))
    assert unfit(ill, converged=True, excused={"shop.service"}) == "the host is not well: ssh.service has failed"
    assert unfit(ill, converged=True, excused={"shop.service", "ssh.service"}) == ""
    assert unfit(well(health=health("shop@eu.service has failed")), converged=True, excused={"shop@.service"}) == ""


QUADLETS = {
    "web.container": "web.service",
    "job@.container": "job@.service",
    "play.kube": "play.service",
    "app.pod": "app-pod.service",
    "data.volume": "data-volume.service",
    "back.network": "back-network.service",
    "tiny.image": "tiny-image.service",
    "tiny.build": "tiny-build.service",
}


def test_units_that_go_are_those_nobody_wants_and_those_that_read_what_goes() -> None:
    entries = [
        LedgerEntry("unit:shop.service", "services", 1, Origin.CREATED),
        LedgerEntry("unit:kept.service", "services", 1, Origin.CREATED),
        *(LedgerEntry(f"quadlet:{name}", "containers", 1, Origin.CREATED) for name in QUADLETS),
        LedgerEntry("file:/etc/ssh/x.conf", "ssh", 1, Origin.CREATED, reloads=("ssh.service",)),
    ]
    assert leaving_units(entries, {"unit:kept.service"}) == {"shop.service", "ssh.service", *QUADLETS.values()}


def test_the_unit_of_a_quadlet_that_goes_has_the_name_that_its_text_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "FOLDER", f"{tmp_path}")
    (tmp_path / "web.container").write_text("[Container]\nImage=x\nServiceName=front\n")
    entry = LedgerEntry("quadlet:web.container", "containers", 1, Origin.CREATED)
    assert leaving_units([entry], ()) == {"front.service"}


def test_a_host_that_was_never_as_wanted_keeps_what_it_has() -> None:
    assert unfit(well(), converged=False) != ""


def test_what_failed_elsewhere_or_repeats_for_ever_keeps_nothing() -> None:
    repeated = change(resource="op:restart#1", cause=Cause.NOT_IDEMPOTENT)
    applied = {"motd": AppliedDeploy(deploy().digest, not_idempotent=("op:restart#1",))}
    away = [SourceError("no route to host"), ReportError("not sent")]
    assert unfit(well(after=plan(planned(repeated)), applied=applied, failures=away), converged=True) == ""


def test_an_observed_deploy_that_differs_keeps_nothing_of_the_others() -> None:
    observed = state(deploy(mode=Mode.OBSERVE), deploy("other", resources=()))
    assert unfit(well(state=observed, after=plan(planned(change()))), converged=True) == ""
    assert unfit(well(state=observed, after=plan(planned(unknown="later"))), converged=True) == ""
    theirs = plan(planned(), planned(change("other"), deploy="other"))
    assert unfit(well(state=observed, after=theirs), converged=True) == "other is not as wanted"


def test_of_observed_code_that_cannot_be_planned_nobody_knows_what_it_wants() -> None:
    observed = state(deploy(mode=Mode.OBSERVE, source="deploys/app.py"))
    assert unfit(well(state=observed, after=plan(planned(unknown="later"))), converged=True) == "motd is not as wanted"


# --- How --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return host_below(tmp_path)


def test_each_resource_meets_its_fate_and_the_ledger_knows(host: Host) -> None:
    host.gave("removed")
    host.gave("changed")
    host.gave("deleted")
    (host.folder / "changed").write_text("mine\n")
    (host.folder / "deleted").unlink()
    host.ledger.record(host.key("adopted"), "gone", NOW, Seen({"type": "file"}, b"theirs\n"))
    (host.folder / "adopted").touch()
    pruned = host.prune()
    assert fates(pruned) == {"removed": Fate.REMOVE, "changed": Fate.ORPHAN, "adopted": Fate.RELEASE}
    assert host.there == ["adopted", "changed"]
    assert {entry.name.rpartition("/")[2]: entry.standing for entry in host.ledger.entries()} == {
        "adopted": Standing.RELEASED,
        "changed": Standing.ORPHANED,
    }
    assert (len(pruned.standing), pruned.settled, pruned.failures) == (2, True, ())
    assert host.prune().done == ()


def test_what_left_git_in_a_folder_that_is_to_be_gone_does_not_wait_for_the_folder(host: Host) -> None:
    (host.folder / "tree").mkdir()
    host.gave("tree/f")
    host.gave("other")
    refused = change(resource=host.key("tree"), refused=True)
    host.told = replace(host.told, after=plan(planned(refused)), failures=[DeployError("tree: it is not empty")])
    pruned = host.prune()
    assert (list((host.folder / "tree").iterdir()), host.there) == ([], ["other", "tree"])
    assert pruned.waits == "something failed"
    (host.folder / "other").rename(host.folder / "tree/f")
    host.told = replace(host.told, health=health("nginx.service has failed"))
    host.gave("tree/g")
    host.prune()
    assert sorted(path.name for path in (host.folder / "tree").iterdir()) == ["f", "g"], "the host is not well"


def test_in_a_bad_cycle_nothing_goes_and_the_reason_is_known(host: Host) -> None:
    key = host.gave("f")
    host.told = replace(host.told, health=health("nginx.service has failed"))
    pruned = host.prune()
    assert (host.there, pruned.waits, pruned.settled) == (
        ["f"],
        "the host is not well: nginx.service has failed",
        False,
    )
    assert [(hold.kind, hold.reason) for hold in pruned.leaving.holds] == [("prune-waits", pruned.waits)]
    assert not pruned.held
    assert host.ledger.entry(key) is not None


def test_what_is_held_stays_owned(host: Host) -> None:
    key = host.gave("f", deploy="late")
    host.idle["late"] = "site.yaml:5 is for hosts: late"
    pruned = host.prune()
    assert (host.there, pruned.settled, pruned.held) == (["f"], False, True)
    entry = host.ledger.entry(key)
    assert entry is not None
    assert entry.standing is Standing.OWNED


def test_a_folder_that_is_not_empty_is_orphaned_with_the_reason(host: Host) -> None:
    key = f"directory:{host.folder}/d"
    host.ledger.record(key, "gone", NOW, None)
    (host.folder / "d").mkdir()
    host.ledger.settle(key, look(key))
    (host.folder / "d/mine").touch()
    (removal,) = host.prune().done
    assert (removal.fate, removal.reason) == (Fate.ORPHAN, "it is not empty")


def test_what_a_sick_disk_does_not_give_up_is_a_problem_and_stays_owned(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sick:
        def look(self, name: str) -> Seen:
            return Seen({"name": name})

        def changed(self, *_: object) -> str:
            return ""

        def remove(self, *_: object, **__: object) -> dict[str, str]:
            raise DeployError("f: Read-only file system", kind=ProblemKind.HOST_IO)

    key = host.gave("f")
    monkeypatch.setattr(step, "kind_named", lambda _: Sick())
    pruned = host.prune()
    (failure,) = pruned.failures
    assert (failure.kind, failure.message) == ("not-pruned", f"{key} could not be removed: f: Read-only file system")
    assert (pruned.settled, host.ledger.entry(key) is not None) == (False, True)


def test_a_kind_that_fails_keeps_no_other_kind(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def remove(self, *_: object, **__: object) -> dict[str, str]:
            raise DeployError("it does not answer")

    link = f"link:{host.folder}/l"
    host.ledger.record(link, "gone", NOW, None)
    (host.folder / "l").symlink_to("x")
    host.ledger.settle(link, look(link))
    host.gave("f")
    real = step.kind_named
    monkeypatch.setattr(step, "kind_named", lambda kind: Failing() if kind == "link" else real(kind))
    pruned = host.prune()
    assert [failure.message for failure in pruned.failures] == [f"{link} could not be removed: it does not answer"]
    assert fates(pruned) == {"f": Fate.REMOVE}


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Busy:
    kind = Busy("it has running processes")
    monkeypatch.setattr(step, "kind_named", lambda _: kind)
    return kind


def test_what_cannot_be_removed_now_is_told_and_tried_again(host: Host, busy: Busy) -> None:
    key = host.gave("f")
    for _ in range(2):
        pruned = host.prune()
        (hold,) = pruned.leaving.holds
        assert (hold.kind, hold.reason) == (
            HoldKind.NOT_PRUNED,
            f"{key} cannot be removed now: it has running processes",
        )
        assert (pruned.done, pruned.failures, pruned.held, pruned.settled) == ((), (), False, False)
        entry = host.ledger.entry(key)
        assert entry is not None
        assert (entry.standing, entry.reason) == (Standing.OWNED, "it has running processes")
    busy.busy = ""
    assert fates(host.prune()) == {"f": Fate.REMOVE}
    assert host.ledger.entries() == ()


def test_what_git_wants_absent_and_could_not_go_yet_is_tried_again_in_each_cycle(host: Host, busy: Busy) -> None:
    key = host.key("ann")
    (host.folder / "ann").touch()
    for wanted in ((key,), ()):  # and after the entry has left Git, too
        host.told = replace(host.told, state=state(deploy(resources=wanted or ("file:/etc/motd",)), commit=host.commit))
        host.ledger.record(key, "motd", NOW, look(key), owed=True)
        host.ledger.settle(key, look(key))
        (hold,) = host.prune().leaving.holds
        assert hold.reason == f"{key} cannot be removed now: it has running processes"
    busy.busy = ""
    assert fates(host.prune()) == {"ann": Fate.REMOVE}


def test_what_the_agent_put_beside_what_was_there_goes_before_that_is_released(host: Host, busy: Busy) -> None:
    key = host.key("adopted")
    host.ledger.record(key, "gone", NOW, Seen({"type": "file"}, b"theirs\n"))
    pruned = host.prune()
    (failure,) = pruned.failures
    assert (failure.kind, failure.message) == (
        HoldKind.NOT_PRUNED,
        f"{key} could not be released: it has running processes",
    )
    assert (pruned.done, pruned.standing) == ((), ())
    busy.busy = ""
    assert fates(host.prune()) == {"adopted": Fate.RELEASE}
    assert busy.released == [key]


def test_what_code_names_only_while_it_is_missing_stays(host: Host) -> None:
    code = deploy("app", resources=(), source="deploys/app.py")
    key = host.gave("f", deploy="app")
    host.told = replace(host.told, state=state(code, commit=host.commit))
    host.told = replace(host.told, applied={"app": AppliedDeploy(code.digest, owned=(key,))})
    assert (host.prune().done, host.there) == ((), ["f"])
    host.told = replace(host.told, applied={"app": AppliedDeploy(code.digest)})
    assert fates(host.prune()) == {"f": Fate.REMOVE}


def test_units_that_run_and_read_what_has_gone_are_told_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(systemctl, "is_active", lambda unit: unit != "off.service")
    monkeypatch.setattr(systemctl, "reload", told.append)
    host.gave("a", reloads=("ssh.service", "off.service"))
    host.gave("b", reloads=("ssh.service",))
    host.gave("gone", reloads=("cron.service",))
    (host.folder / "gone").unlink()
    host.prune()
    assert told == ["cron.service", "ssh.service"]
    assert host.ledger.entries() == ()


def test_units_that_ask_for_a_file_that_has_gone_are_restarted_or_reloaded_as_they_ask(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(systemctl, "is_active", lambda unit: unit != "off.service")
    monkeypatch.setattr(systemctl, "tell", lambda unit, *, restart: told.append((unit, restart)))
    below, there = f"{host.folder}/sites", f"{host.folder}/there"
    units = (
        Resource("unit:again.service", "1", reads=(below,), reload_on=(below,)),
        Resource("unit:anew.service", "1", reads=(below,), restart_on=(below,), reload_on=(below,)),
        Resource("unit:off.service", "1", reads=(below,), restart_on=(below,)),
        Resource("quadlet:web.container", "1", reads=(below,), restart_on=(f"{below}/a",)),
        Resource("quadlet:sees.container", "1", reads=(below,)),
        Resource("unit:other.service", "1", reads=(there,), restart_on=(there,)),
    )
    watched = (Resource("unit:watched.service", "1", reads=(below,), restart_on=(below,)),)
    services = replace(deploy("services"), resources=units)
    observed = replace(deploy("observed", mode=Mode.OBSERVE), resources=watched)
    host.told = replace(host.told, state=state(services, observed), after=plan())
    (host.folder / "sites").mkdir()
    for name in ("sites/a", "sites/b"):
        host.gave(name)
    host.gave("there", deploy="services")
    pruned = host.prune()
    assert told == [("again.service", False), ("anew.service", True), ("other.service", True), ("web.service", True)]
    assert pruned.changed


def test_a_removal_begins_before_anything_has_gone_and_only_where_something_goes(host: Host) -> None:
    begun: list[list[str]] = []
    host.prune(begin=lambda: begun.append(host.there))
    assert begun == []
    host.gave("f")
    host.left()
    host.engine.work = lambda: "" if begun else "nothing was begun"
    assert host.prune(begin=lambda: begun.append(host.there)).stayed == {}
    assert (begun, host.there) == ([["f"]], [])


def test_a_unit_that_does_not_reload_is_a_problem_of_its_own(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def reload(unit: str) -> None:
        raise DeployError(f"{unit}: reload: no\nand more")

    monkeypatch.setattr(systemctl, "is_active", lambda _: True)
    monkeypatch.setattr(systemctl, "reload", reload)
    host.gave("a", reloads=("ssh.service",))
    (failure,) = host.prune().failures
    assert (failure.kind, failure.message) == ("reload-failed", "ssh.service: reload: no")
    assert host.there == []


# --- on_remove --------------------------------------------------------------------------------------------------------


def test_what_a_deploy_said_is_run_before_its_resources_go(host: Host) -> None:
    host.left()
    host.gave("f", deploy="app")
    seen: list[list[str]] = []

    def work() -> str:
        seen.append(host.there)
        return ""

    host.engine.work = work
    pruned = host.prune()
    assert seen == [["f"]]
    assert host.engine.ran == [("app", "deploys/app_absent.py", {"word": "bye"}, False)]
    assert (pruned.departed, host.there) == ({"app": "deploys/app_absent.py"}, [])


def test_what_it_removed_or_changed_itself_is_looked_at_again(host: Host) -> None:
    host.left()
    host.gave("removed", deploy="app")
    host.gave("changed", deploy="app")

    def work() -> str:
        (host.folder / "removed").unlink()
        (host.folder / "changed").write_text("bye\n")
        return ""

    host.engine.work = work
    assert fates(host.prune()) == {"changed": Fate.ORPHAN}


def test_where_it_fails_what_came_with_its_deploy_stays_and_everything_else_goes(host: Host) -> None:
    host.left()
    host.gave("f", deploy="app")
    host.gave("other")
    host.engine.work = lambda: "exit status 1"
    pruned = host.prune()
    assert (host.there, pruned.stayed, pruned.departed) == (["f"], {"app": "exit status 1"}, {})
    assert [(failure.kind, int(failure.exit)) for failure in pruned.failures] == [("on-remove-failed", 7)]


@pytest.mark.parametrize(("waits_for_backoff", "after_s", "runs"), [(True, 30, 0), (True, 60, 1), (False, 30, 1)])
def test_it_is_tried_again_when_its_time_has_come_or_a_person_asks(
    host: Host, waits_for_backoff: bool, after_s: int, runs: int
) -> None:
    host.left()
    host.gave("f", deploy="app")
    attempts = {f"{ON_REMOVE}app": Attempt(host.commit, 1, NOW + 60, "exit status 1")}
    host.memory = State(attempts=attempts, fleet=host.memory.fleet)
    pruned = host.prune(waits_for_backoff=waits_for_backoff, now=NOW + after_s)
    assert [interrupted for *_, interrupted in host.engine.ran] == [True] * runs
    assert (host.there, len(pruned.failures)) == ([] if runs else ["f"], 0 if runs else 1)


def test_it_is_not_run_where_the_deploy_may_have_left_by_mistake(host: Host) -> None:
    host.left()
    host.idle["app"] = "site.yaml:5 is for hosts: late"
    pruned = host.prune()
    assert (host.engine.ran, pruned.held) == ([], True)


def test_a_commit_that_is_not_in_the_history_any_more_is_not_run(host: Host) -> None:
    said = OnRemove("deploys/app_absent.py", {}, "b" * 40)
    host.deploys["app"] = AppliedDeploy("1" * 64, on_remove=said)
    pruned = host.prune()
    assert host.engine.ran == []
    assert "is not in the history" in pruned.stayed["app"]
