"""What becomes of what has left Git, and what holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.desired import Mode, OnRemove
from agent.domain.memory import AppliedDeploy, FleetSettings
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Origin, Seen, Standing
from agent.domain.plan import Hold, HoldKind
from agent.domain.removal import Departure, Fate, Leaving, Removal
from agent.errors import DeployError
from agent.steps.plan_removals import RemovalRules, allows, find_removals, hold_removals, removal_rules
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from agent.system.safe_open import UnsafePath
from tests.gitserver import ConfigRepo
from tests.steps.build import SHA, deploy, state

LEFT = {"type": "file", "sha256": "1"}
ON_REMOVE = OnRemove("deploys/app_absent.py", {}, SHA)


def entry(key: str = "file:/etc/x", **more: object) -> LedgerEntry:
    plain: dict[str, object] = {"deploy": "motd", "at": 5, "origin": Origin.CREATED, "left": LEFT, "settled": True}
    return LedgerEntry(key, **(plain | more))  # type: ignore[arg-type]


def fate(of: LedgerEntry, now: Mapping[str, str] | Exception | None = None) -> tuple[str, str] | None:
    """What becomes of it when ``now`` is there (not given: what the agent left), and why."""

    def look(_: str) -> Seen | None:
        if isinstance(now, Exception):
            raise now
        return Seen(LEFT if now is None else now) if now != {} else None

    found = find_removals([of], {}, state=state(), wanted={"file:/etc/motd"}, look=look).removals
    return (found[0].fate.value, found[0].reason) if found else None


def removal(key: str = "file:/etc/x", deploy: str = "motd", fate: Fate = Fate.REMOVE) -> Removal:
    return Removal(entry(key, deploy=deploy), fate)


def holds(leaving: Leaving) -> list[str]:
    return [hold.kind for hold in leaving.holds]


# --- Fates ------------------------------------------------------------------------------------------------------------


def test_what_is_as_the_agent_left_it_goes() -> None:
    assert fate(entry()) == ("remove", "")


def test_what_somebody_changed_stays_and_says_so() -> None:
    assert fate(entry(), LEFT | {"sha256": "2"}) == ("orphan", "changed since: content")


def test_what_was_there_before_stays_whatever_it_is_now() -> None:
    assert fate(entry(origin=Origin.ADOPTED), LEFT | {"sha256": "2"}) == ("release", "")


def test_what_is_gone_is_forgotten() -> None:
    assert fate(entry(), {}) == ("forget", "")
    assert fate(entry(standing=Standing.ORPHANED), {}) == ("forget", "")


def test_what_was_never_finished_stays() -> None:
    assert fate(entry(settled=False)) == ("orphan", "the change that brought it did not end well")


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("settled", [True, False])
def test_what_git_said_should_not_be_goes_though_removing_it_failed_and_git_is_silent_now(
    origin: Origin, settled: bool
) -> None:
    before = LEFT if origin is Origin.ADOPTED else None
    owed = entry(origin=origin, before=before, left=None if before else LEFT, settled=settled, owed=True, reason="busy")
    assert fate(owed) == ("remove", "busy")
    assert fate(owed, {}) == ("forget", "")
    assert fate(owed, LEFT | {"sha256": "2"}) == ("orphan", "changed since: content")


def test_what_was_made_anew_where_the_agent_had_left_nothing_stays() -> None:
    assert fate(entry(left=None)) == ("orphan", "changed since: it was made anew")


def test_what_has_met_its_fate_meets_no_other() -> None:
    assert fate(entry(standing=Standing.ORPHANED), LEFT | {"sha256": "2"}) is None
    assert fate(entry(origin=Origin.ADOPTED, standing=Standing.RELEASED)) is None


def test_an_orphan_that_is_again_as_the_agent_left_it_goes() -> None:
    assert fate(entry(standing=Standing.ORPHANED, reason="changed since: content")) == ("remove", "")
    assert fate(entry("directory:/srv", standing=Standing.ORPHANED, reason="it is not empty")) is None


def test_what_could_not_be_removed_the_last_time_says_why() -> None:
    assert fate(entry("user:ann", reason="has running processes")) == ("remove", "has running processes")


def test_an_orphan_that_cannot_be_looked_at_is_still_one() -> None:
    assert fate(entry(standing=Standing.ORPHANED), OSError(5, "Input/output error")) is None


def test_what_is_still_wanted_stays_whoever_wants_it() -> None:
    assert fate(entry("file:/etc/motd", deploy="gone")) is None


def test_what_the_agent_itself_needs_stays() -> None:
    assert fate(entry("package:git", deploy=BOOTSTRAP)) is None


def test_where_something_else_is_wanted_now_nothing_goes() -> None:
    assert fate(entry("link:/etc/motd")) == ("forget", "")


def test_what_lies_behind_somebodys_link_stays() -> None:
    assert fate(entry(), UnsafePath("way is a link")) == ("orphan", "way is a link")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), DeployError("dpkg is at work")])
def test_what_cannot_be_looked_at_waits(error: Exception) -> None:
    def look(_: str) -> Seen | None:
        raise error

    leaving = hold_removals(find_removals([entry()], {}, state=state(), wanted=(), look=look), RemovalRules(limit=9))
    assert (holds(leaving), leaving.permitted.removals) == (["unseen"], ())


def test_things_go_in_an_order_in_which_they_can() -> None:
    keys = [
        *("directory:/srv", "group:app", "user:app", "directory:~app/.config", "file:~app/.config/rc", "file:/srv/x"),
        *("package:nginx", "block:/srv/x#a", "unit:nginx.service"),
    ]
    found = find_removals([entry(key) for key in keys], {}, state=state(), wanted=(), look=lambda _: None)
    assert [removal.entry.key for removal in found.removals] == [
        *("unit:nginx.service", "block:/srv/x#a", "file:~app/.config/rc", "file:/srv/x", "directory:~app/.config"),
        *("package:nginx", "user:app", "group:app", "directory:/srv"),
    ]


def test_a_deploy_that_left_and_said_what_to_run_then_departs_and_no_other() -> None:
    applied = {
        "app": AppliedDeploy("1" * 64, on_remove=ON_REMOVE),
        "motd": AppliedDeploy("2" * 64, on_remove=ON_REMOVE),
        "plain": AppliedDeploy("3" * 64),
    }
    assert find_removals([], applied, state=state(), wanted=(), look=lambda _: None).departures == (
        Departure("app", ON_REMOVE),
    )


# --- Holds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "held"), [(2, []), (3, ["prune-held"])])
def test_more_than_may_go_at_once_is_held_as_a_whole(count: int, held: list[str]) -> None:
    leaving = hold_removals(Leaving(tuple(removal(f"file:/{n}") for n in range(count))), RemovalRules(limit=2))
    assert (holds(leaving), len(leaving.permitted.removals)) == (held, 0 if held else count)


def test_only_what_really_goes_is_counted() -> None:
    staying = [removal(f"file:/{fate}", fate=fate) for fate in (Fate.RELEASE, Fate.ORPHAN, Fate.FORGET)]
    assert holds(hold_removals(Leaving((removal(), *staying)), RemovalRules(limit=1))) == []


def test_what_could_not_be_removed_the_last_time_is_not_counted_again() -> None:
    refused = replace(removal("user:ann"), reason="has running processes")
    assert holds(hold_removals(Leaving((removal(), refused)), RemovalRules(limit=1))) == []


def test_in_a_cycle_that_removes_nothing_all_that_is_due_says_why() -> None:
    gone = removal("file:/gone", fate=Fate.FORGET)
    leaving = hold_removals(
        Leaving((removal(), gone), (Departure("app", ON_REMOVE),)), RemovalRules(waits="the host is not well")
    )
    (hold,) = leaving.holds
    assert (hold.kind, hold.reason, leaving.permitted.removals) == ("prune-waits", "the host is not well", (gone,))


def test_what_a_deploy_has_said_to_run_counts_too() -> None:
    leaving = hold_removals(Leaving((removal(),), (Departure("app", ON_REMOVE),)), RemovalRules(limit=1))
    assert holds(leaving) == ["prune-held"]
    assert leaving.permitted == Leaving()


def test_what_is_gone_already_waits_for_nobody() -> None:
    gone = removal("file:/gone", fate=Fate.FORGET)
    leaving = hold_removals(Leaving((removal("file:/1"), removal("file:/2"), gone)), RemovalRules(limit=1))
    assert leaving.permitted.removals == (gone,)


@pytest.mark.parametrize(
    ("entries", "fleet", "limit"),
    [
        (100, FleetSettings(), 10),
        (40, FleetSettings(), 8),
        (41, FleetSettings(), 9),
        (100, FleetSettings(prune_max=50), 20),
    ],
)
def test_the_smaller_limit_counts(entries: int, fleet: FleetSettings, limit: int) -> None:
    assert removal_rules(state(), {}, fleet, [entry()] * entries, {}).limit == limit


@pytest.mark.parametrize(("fleet", "limit"), [(FleetSettings(), 5), (FleetSettings(prune_max=2), 2)])
def test_of_a_small_ledger_a_few_may_go_unless_max_says_otherwise(fleet: FleetSettings, limit: int) -> None:
    assert removal_rules(state(), {}, fleet, [entry()], {}).limit == limit


@pytest.mark.parametrize(
    "other",
    [
        {"origin": Origin.ADOPTED},
        {"standing": Standing.ORPHANED},
        {"origin": Origin.ADOPTED, "standing": Standing.RELEASED},
        {"deploy": BOOTSTRAP},
    ],
)
def test_what_could_never_be_removed_does_not_count_for_the_limit(other: dict[str, object]) -> None:
    assert (
        removal_rules(state(), {}, FleetSettings(prune_max=99), [entry()] * 40 + [entry(**other)] * 60, {}).limit == 8
    )


def test_a_host_that_is_given_nothing_any_more_keeps_everything() -> None:
    nothing = state()
    nothing = type(nothing)(nothing.host, nothing.commit, (), nothing.digest)
    rules = removal_rules(nothing, {}, FleetSettings(), [entry()] * 100, {})
    (hold,) = hold_removals(Leaving((removal(),), (Departure("app", ON_REMOVE),)), rules).holds
    assert hold.kind == "prune-held"
    assert "gives web1 no deploys at all" in hold.reason


def test_what_came_by_a_play_that_matches_nobody_stays_and_names_the_line() -> None:
    rules = RemovalRules(idle={"web": "site.yaml:5 is for hosts: web"}, limit=9)
    leaving = hold_removals(
        Leaving((removal(deploy="web"), removal("file:/other")), (Departure("web", ON_REMOVE),)), rules
    )
    (hold,) = leaving.holds
    assert hold.reason.startswith("site.yaml:5 is for hosts: web; a commit with the trailer `Hostwright-Prune: allow`")
    assert [each.entry.key for each in leaving.permitted.removals] == ["file:/other"]


def test_a_commit_can_say_that_all_of_it_may_go() -> None:
    rules = RemovalRules(bare="nothing", idle={"motd": "nobody"}, limit=0, allowed=True)
    leaving = Leaving((removal(),), (Departure("app", ON_REMOVE),))
    assert hold_removals(leaving, rules) == leaving


def test_an_observed_deploy_removes_nothing_whoever_allows_it() -> None:
    rules = removal_rules(state(deploy(mode=Mode.OBSERVE)), {}, FleetSettings(), [], {})
    leaving = hold_removals(Leaving((removal(), removal("file:/other", deploy="other"))), rules)
    assert holds(leaving) == ["observe"]
    assert [each.entry.key for each in leaving.permitted.removals] == ["file:/other"]


def test_what_waits_for_an_on_remove_waits_with_it() -> None:
    rules = RemovalRules(limit=9, waiting={"app": Hold(HoldKind.BACKOFF, "failed")})
    leaving = hold_removals(Leaving((removal(deploy="app"),), (Departure("app", ON_REMOVE),)), rules)
    assert (holds(leaving), leaving.permitted) == (["backoff"], Leaving())


# --- The trailer ------------------------------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    return ConfigRepo(tmp_path / "work")


def allowed(repo: ConfigRepo, tmp_path: Path, *, settled: str | None) -> bool:
    mirror = Mirror(tmp_path / "repo.git", Access(None, None))
    try:
        return allows(mirror, "lab", aimed=mirror.fetch(f"{repo.path}", "main").sha, settled=settled)
    finally:
        mirror.close()


def commit(repo: ConfigRepo, message: str) -> str:
    return repo.commit(message, {"README": message})


ALLOW = "Let it go\n\nHostwright-Prune: allow"


def test_the_commit_aimed_at_may_say_so(repo: ConfigRepo, tmp_path: Path) -> None:
    sha = commit(repo, ALLOW)
    assert allowed(repo, tmp_path, settled=None)
    assert allowed(repo, tmp_path, settled=sha)


def test_so_may_any_commit_since_nothing_was_left_to_remove(repo: ConfigRepo, tmp_path: Path) -> None:
    settled = commit(repo, "First")
    commit(repo, ALLOW)
    later = commit(repo, "Third")
    assert allowed(repo, tmp_path, settled=settled)
    assert not allowed(repo, tmp_path, settled=later)
    assert not allowed(repo, tmp_path, settled=None)


def test_a_commit_before_that_says_nothing_any_more(repo: ConfigRepo, tmp_path: Path) -> None:
    settled = commit(repo, ALLOW)
    commit(repo, "Second")
    assert not allowed(repo, tmp_path, settled=settled)


def test_a_commit_that_is_in_no_history_of_it_opens_nothing(repo: ConfigRepo, tmp_path: Path) -> None:
    commit(repo, ALLOW)
    commit(repo, "Second")
    assert not allowed(repo, tmp_path, settled="0" * 40)


@pytest.mark.parametrize(
    ("later", "still"),
    [
        ({"README": "new"}, True),
        ({"inventories/other/site.yaml": "new"}, True),
        ({"inventories/lab/site.yaml": "typo"}, False),
        ({"deploys/app.py": "typo"}, False),
    ],
)
def test_one_that_said_so_does_not_speak_for_what_a_later_one_changes(
    repo: ConfigRepo, tmp_path: Path, later: dict[str, str], still: bool
) -> None:
    settled = repo.commit("First", {"inventories/lab/site.yaml": "old", "deploys/app.py": "old"})
    repo.commit(ALLOW, {"inventories/lab/site.yaml": "less"})
    repo.commit("Later", later)
    assert allowed(repo, tmp_path, settled=settled) is still
