"""record: what is recorded before deploys run, and what is known of it afterwards; on real files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.memory import AppliedDeploy
from agent.domain.outcome import Outcome, Status
from agent.domain.ownership import LedgerEntry, Origin, Standing
from agent.domain.plan import Cause, DeployPlan
from agent.host.ledger import Ledger
from agent.steps.record import record_ownership, record_result, wanted_by
from agent.system.database import Database
from tests.steps.build import change, deploy, outcome, plan, planned, result, state

Run = Callable[..., None]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    host = tmp_path / "host"
    host.mkdir()
    return host


def entry(ledger: Ledger, key: str) -> LedgerEntry:
    found = ledger.entry(key)
    assert found is not None
    return found


def apply(
    ledger: Ledger,
    wanted: DeployPlan,
    work: Callable[[], object],
    *,
    succeeded: bool = True,
    ran: str | None = None,
    after: DeployPlan | None = None,
    resources: tuple[str, ...] = (),
    absent: bool = False,
) -> None:
    """One cycle of one deploy, ``motd``: recorded, run, settled. ``ran``: the resource that its one result names."""
    one = state(deploy(resources=resources or tuple(each.resource for each in wanted.changes)))
    (each,) = one.deploys
    one = state(replace(each, resources=tuple(replace(key, absent=absent) for key in each.resources)))
    recorded = record_ownership(ledger, one.deploys[0], wanted, 5)
    work()
    name = ran or wanted.changes[0].resource
    ended = outcome(Status.DONE if succeeded else Status.FAILED, result(resource=name, succeeded=succeeded))
    record_result(ledger, one, Outcome(ended.deploys, (wanted,), recorded), plan(after or planned()), now=6)


def test_what_a_deploy_makes_is_created_and_settled(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours\n"))
    found = entry(ledger, key)
    assert (found.origin, found.settled, found.deploy) == (Origin.CREATED, True, "motd")
    assert found.left is not None
    assert found.left["type"] == "file"


def test_what_was_there_is_adopted_with_its_image(ledger: Ledger, host: Path) -> None:
    (host / "f").write_text("theirs\n")
    key = f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours\n"))
    assert (entry(ledger, key).origin, ledger.image(key)) == (Origin.ADOPTED, b"theirs\n")


def test_what_failed_and_changed_nothing_is_forgotten_and_what_it_made_is_its_own(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    still = planned(change(resource=key))
    apply(ledger, still, lambda: None, succeeded=False, after=still)
    assert ledger.entries() == ()
    apply(ledger, still, lambda: (host / "f").write_text("half\n"), succeeded=False, after=still)
    assert (entry(ledger, key).origin, entry(ledger, key).settled) == (Origin.CREATED, True)


def test_a_change_that_fails_later_takes_nothing_from_the_agent_that_it_has_made(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    wanted = planned(change(resource=key))
    apply(ledger, wanted, lambda: (host / "f").write_text("ours\n"))
    apply(ledger, wanted, lambda: None, succeeded=False, after=wanted)
    assert (entry(ledger, key).origin, entry(ledger, key).settled) == (Origin.CREATED, True)
    apply(ledger, wanted, lambda: (host / "f").write_text("half\n"), succeeded=False, after=wanted)
    assert not entry(ledger, key).settled, "half of a change may be anything"


@pytest.mark.parametrize("there_before", [True, False])
def test_a_removal_that_failed_stays_owed_until_it_is_done_or_git_wants_the_thing(
    ledger: Ledger, host: Path, there_before: bool
) -> None:
    key = f"file:{host}/f"
    wanted = planned(change(resource=key))
    if there_before:
        (host / "f").write_text("theirs\n")
    else:
        apply(ledger, wanted, lambda: (host / "f").write_text("ours\n"))
    apply(ledger, wanted, lambda: None, succeeded=False, after=wanted, absent=True)
    assert entry(ledger, key).owed
    apply(ledger, wanted, lambda: (host / "f").write_text("again\n"))
    assert not entry(ledger, key).owed
    apply(ledger, wanted, (host / "f").unlink, absent=True)
    assert not entry(ledger, key).owed


def test_what_was_cut_off_is_settled_when_its_deploy_is_found_in_sync(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    wanted = planned(change(resource=key))
    one = state(deploy(resources=(key,)))
    record_ownership(ledger, one.deploys[0], wanted, 5)
    (host / "f").write_text("ours\n")  # and here it was killed
    record_result(ledger, one, Outcome(), plan(wanted), now=6)
    assert not entry(ledger, key).settled
    record_result(ledger, one, Outcome(), plan(planned()), now=6)
    assert entry(ledger, key).settled


def test_what_nobody_wants_any_more_is_not_settled_by_what_happens_to_be_there(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    record_ownership(ledger, deploy(resources=(key,)), planned(change(resource=key)), 5)
    (host / "f").write_text("half\n")
    record_result(ledger, state(deploy(resources=())), Outcome(), plan(planned()), now=6)
    assert not entry(ledger, key).settled


def test_of_a_config_repos_operation_what_it_owns_is_recorded(ledger: Ledger, host: Path) -> None:
    keys = (f"file:{host}/a", f"directory:{host}/d")
    wanted = planned(change(resource="op:put#1", owns=keys), resources=("op:put#1", *keys))

    def work() -> None:
        (host / "a").touch()
        (host / "d").mkdir()

    apply(ledger, wanted, work, after=planned(resources=wanted.resources), resources=("op:none#1",))
    assert [(each.key, each.settled) for each in ledger.entries()] == [(key, True) for key in sorted(keys)]


def test_what_an_operation_changed_that_nobody_had_foreseen_is_recorded_all_the_same(
    ledger: Ledger, host: Path
) -> None:
    (host / "b").write_text("theirs\n")
    first, second, third = (f"file:{host}/{name}" for name in "abc")
    wanted = planned(change(resource="op:a#1", owns=(first,)), resources=(first, second, third))

    def work() -> None:
        (host / "a").touch()
        (host / "b").write_text("ours\n")

    apply(ledger, wanted, work, ran="op:b#1", after=planned(resources=wanted.resources))
    assert {each.key: each.origin for each in ledger.entries()} == {first: Origin.CREATED, second: Origin.ADOPTED}
    assert ledger.image(second) == b"theirs\n"


def test_what_is_in_sync_and_not_touched_leaves_no_entry(ledger: Ledger, host: Path) -> None:
    (host / "b").write_text("theirs\n")
    first, second = f"file:{host}/a", f"file:{host}/b"
    wanted = planned(change(resource="op:a#1", owns=(first,)), resources=(first, second))
    apply(ledger, wanted, (host / "a").touch, ran="op:a#1", after=planned(resources=wanted.resources))
    assert [each.key for each in ledger.entries()] == [first]


@pytest.mark.parametrize("part", ["block:{}#lab", "line:{}#a", "line:{}#~a"])
def test_where_a_part_makes_its_file_the_file_is_created_too(ledger: Ledger, host: Path, part: str) -> None:
    key, file = part.format(host / "f"), f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("a\n"))
    assert (entry(ledger, file).origin, entry(ledger, file).settled) == (Origin.CREATED, True)


def test_where_the_file_was_there_only_the_part_is_the_agents(ledger: Ledger, host: Path) -> None:
    (host / "f").write_text("theirs\n")
    key = f"line:{host}/f#a"
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("theirs\na\n"))
    assert [(each.key, each.origin) for each in ledger.entries()] == [(key, Origin.CREATED)]


def test_a_file_is_wanted_as_long_as_a_part_of_it_is() -> None:
    wanted = wanted_by(state(deploy(resources=("block:/etc/hosts#lab",))), plan(planned()))
    assert wanted == {"block:/etc/hosts#lab": {"motd"}, "file:/etc/hosts": {"motd"}}


def test_what_comes_back_or_moves_belongs_to_the_deploy_that_wants_it_now(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), (host / "f").touch)
    ledger.orphan(key, "content")
    record_result(ledger, state(deploy("other", resources=(key,))), Outcome(), plan(planned(deploy="other")), now=6)
    assert (entry(ledger, key).standing, entry(ledger, key).deploy) == (Standing.OWNED, "other")


def test_kinds_that_are_never_taken_back_are_not_recorded(ledger: Ledger) -> None:
    apply(ledger, planned(change(resource="op:restart#1"), change(resource="command:migrate")), lambda: None)
    assert ledger.entries() == ()


def test_what_repeats_for_ever_keeps_nothing_open(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    wanted = planned(change(resource=key))
    one = state(deploy(resources=(key,)))
    record_ownership(ledger, one.deploys[0], wanted, 5)
    again = planned(change(resource="op:restart#1", cause=Cause.NOT_IDEMPOTENT))
    record_result(ledger, one, Outcome(), plan(again), now=6)
    assert entry(ledger, key).settled


def test_who_reads_a_file_is_remembered_with_it(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    one = deploy(resources=(key,))
    one = replace(one, resources=(replace(one.resources[0], reloads=("ssh.service",)),))
    record_ownership(ledger, one, planned(change(resource=key)), 5)
    assert entry(ledger, key).reloads == ("ssh.service",)


def test_what_cannot_be_looked_at_counts_as_adopted(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/{'x' * 300}"
    record_ownership(ledger, deploy(resources=(key,)), planned(change(resource=key)), 5)
    assert (entry(ledger, key).origin, entry(ledger, key).before) == (
        Origin.ADOPTED,
        {"unseen": "File name too long"},
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a link of somebody else's")
def test_a_way_that_is_refused_leaves_no_entry(ledger: Ledger, host: Path) -> None:
    (host / "way").symlink_to("/etc")
    os.chown(host / "way", 65534, 65534, follow_symlinks=False)
    key = f"file:{host}/way/passwd"
    record_ownership(ledger, deploy(resources=(key,)), planned(change(resource=key)), 5)
    assert ledger.entries() == ()


def test_what_takes_the_place_of_another_has_its_past(ledger: Ledger, host: Path) -> None:
    (host / "it").write_text("theirs\n")
    file, link = f"file:{host}/it", f"link:{host}/it"
    apply(ledger, planned(change(resource=file)), lambda: (host / "it").write_text("ours\n"))

    def replace_it() -> None:
        (host / "it").unlink()
        (host / "it").symlink_to("/etc")

    apply(ledger, planned(change(resource=link)), replace_it)
    assert [each.key for each in ledger.entries()] == [link]
    found = entry(ledger, link)
    assert (found.origin, found.settled, ledger.image(link)) == (Origin.ADOPTED, True, b"theirs\n")


def test_what_fails_to_take_the_place_of_another_leaves_both_known(ledger: Ledger, host: Path) -> None:
    file, link = f"file:{host}/it", f"link:{host}/it"
    apply(ledger, planned(change(resource=file)), (host / "it").touch)
    wanted = planned(change(resource=link))
    apply(ledger, wanted, lambda: None, succeeded=False, after=wanted)
    assert [(each.key, each.origin, each.settled) for each in ledger.entries()] == [
        (file, Origin.CREATED, True),
        (link, Origin.CREATED, False),
    ]


@pytest.mark.parametrize(
    ("key", "too"),
    [
        ("cron:backup", "file:/etc/cron.d/hostwright-backup"),
        ("link:/etc/localtime", "timezone:host"),
        ("unit:app.service", "file:/etc/systemd/system/app.service"),
        ("file:/etc/systemd/system/app.service", "unit:app.service"),
        ("file:/etc/containers/systemd/web.container", "quadlet:web.container"),
        ("file:/etc/systemd/system/app.service.d/10.conf", None),
    ],
)
def test_who_wants_a_thing_wants_its_file_and_the_other_way_round(key: str, too: str | None) -> None:
    assert set(wanted_by(state(deploy(resources=(key,))), plan(planned()))) == {key, *([too] if too else [])}


def test_who_is_to_be_told_when_it_goes_can_change_in_git(ledger: Ledger, host: Path) -> None:
    key = f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), (host / "f").touch)
    one = deploy(resources=(key,))
    one = replace(one, resources=(replace(one.resources[0], reloads=("ssh.service",)),))
    record_result(ledger, state(one), Outcome(), plan(planned()), now=6)
    assert entry(ledger, key).reloads == ("ssh.service",)


def test_what_a_config_repos_deploy_once_named_is_wanted_while_it_is_there() -> None:
    one = deploy(resources=(), source="deploys/app.py")
    applied = {"motd": AppliedDeploy(one.digest, owned=("file:/etc/systemd/system/app.service",))}
    assert set(wanted_by(state(one), plan(planned()), applied)) == {
        "file:/etc/systemd/system/app.service",
        "unit:app.service",
    }
    assert wanted_by(state(deploy("other", resources=())), plan(), applied) == {}


def test_what_is_remembered_of_a_built_in_wants_nothing() -> None:
    applied = {"motd": AppliedDeploy(deploy().digest, owned=("file:/srv/x",))}
    assert set(wanted_by(state(), plan(planned()), applied)) == {"file:/etc/motd"}


def test_while_a_deploy_cannot_be_planned_all_that_it_owned_is_wanted() -> None:
    one = deploy(resources=(), source="deploys/app.py")
    applied = {"motd": AppliedDeploy("0" * 64, owned=("file:/srv/x",), steady=("file:/srv/x",))}
    assert set(wanted_by(state(one), plan(planned(unknown="later")), applied)) == {"file:/srv/x"}
    assert wanted_by(state(one), plan(planned()), applied) == {}


# --- What comes back --------------------------------------------------------------------------------------------------


def let_go(ledger: Ledger, host: Path, before: str | None) -> str:
    """A file of the agent's that has left Git; its key."""
    if before is not None:
        (host / "f").write_text(before)
    key = f"file:{host}/f"
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours\n"))
    if before is None:
        ledger.orphan(key, "changed since: content")
    else:
        ledger.release(key)
    return key


@pytest.mark.parametrize("before", [None, "theirs\n"], ids=["orphaned", "released"])
@pytest.mark.parametrize("rewritten", [True, False], ids=["rewritten", "as wanted"])
def test_what_was_let_go_and_changed_since_begins_anew_when_it_comes_back(
    ledger: Ledger, host: Path, before: str | None, rewritten: bool
) -> None:
    key = let_go(ledger, host, before)
    (host / "f").write_text("precious\n")
    if rewritten:
        apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours again\n"))
    else:
        record_result(ledger, state(deploy(resources=(key,))), Outcome(), plan(planned()), now=6)
    found = entry(ledger, key)
    assert (found.origin, found.standing, found.settled, found.reason) == (Origin.ADOPTED, Standing.OWNED, True, "")
    assert ledger.image(key) == b"precious\n"


@pytest.mark.parametrize("before", [None, "theirs\n"], ids=["orphaned", "released"])
@pytest.mark.parametrize("rewritten", [True, False], ids=["rewritten", "as wanted"])
def test_what_comes_back_as_the_agent_left_it_keeps_its_past(
    ledger: Ledger, host: Path, before: str | None, rewritten: bool
) -> None:
    key = let_go(ledger, host, before)
    if rewritten:
        apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours again\n"))
    else:
        record_result(ledger, state(deploy(resources=(key,))), Outcome(), plan(planned()), now=6)
    found = entry(ledger, key)
    origin = Origin.CREATED if before is None else Origin.ADOPTED
    assert (found.origin, found.standing, found.settled) == (origin, Standing.OWNED, True)
    assert ledger.image(key) == (None if before is None else b"theirs\n")


def test_what_is_gone_when_it_comes_back_is_created(ledger: Ledger, host: Path) -> None:
    key = let_go(ledger, host, "theirs\n")
    (host / "f").unlink()
    apply(ledger, planned(change(resource=key)), lambda: (host / "f").write_text("ours\n"))
    assert (entry(ledger, key).origin, ledger.image(key)) == (Origin.CREATED, None)


def test_where_something_let_go_lies_in_its_place_that_was_there_before(ledger: Ledger, host: Path) -> None:
    let_go(ledger, host, None)
    (host / "f").write_text("precious\n")
    link = f"link:{host}/f"

    def replace_it() -> None:
        (host / "f").unlink()
        (host / "f").symlink_to("/etc")

    apply(ledger, planned(change(resource=link)), replace_it)
    assert [(each.key, each.origin) for each in ledger.entries()] == [(link, Origin.ADOPTED)]
    assert ledger.image(link) == b"precious\n"


def test_who_wants_what_is_written_together(ledger: Ledger, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tuple(f"file:{host}/{number}" for number in range(60))
    for key in keys:
        ledger.record(key, "motd", 5, None)
        ledger.settle(key, None)
    calls: list[int] = []
    write = Database.write
    monkeypatch.setattr(Database, "write", lambda *each: (calls.append(1), write(*each)))
    record_result(ledger, state(deploy("other", resources=keys)), Outcome(), plan(), now=6)
    assert ({each.deploy for each in ledger.entries()}, calls) == ({"other"}, [1])
