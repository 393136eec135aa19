from types import SimpleNamespace

from agent.domain.memory import Suspension
from agent.domain.plan import Hold, HoldKind
from agent.domain.resolution import HostTerms
from agent.steps.choose import choose, suspension
from tests.steps.build import deploy, state

SUSPENDED = Hold(HoldKind.SUSPENDED, "disk")


def resolution(version="1", commit="a" * 40):
    return SimpleNamespace(state=state(deploy(version=version), commit=commit))


def test_the_newest_is_aimed_at():
    old, new = resolution("1"), resolution("2")
    assert choose(old, new, suspension=None).resolution is new


def test_a_commit_that_cannot_be_used_leaves_the_host_on_what_it_had():
    old = resolution("1")
    assert choose(old, None, suspension=None).resolution is old


def test_a_bare_host_without_a_usable_commit_aims_at_nothing():
    assert choose(None, None, suspension=None) is None


def test_a_suspended_host_stays_on_what_is_applied_and_says_so():
    old, new = resolution("1"), resolution("2")
    aim = choose(old, new, suspension=SUSPENDED)
    assert (aim.resolution, aim.hold) == (old, SUSPENDED)


def test_a_newer_commit_that_changes_nothing_is_adopted_even_while_suspended():
    old, new = resolution("1"), resolution("1", commit="b" * 40)
    aim = choose(old, new, suspension=SUSPENDED)
    assert (aim.resolution, aim.hold) == (new, None)


def test_a_host_on_a_commit_that_a_person_named_says_so():
    pinned = Hold(HoldKind.PINNED, "a person said so")
    assert choose(resolution("2"), resolution("1"), suspension=None, pinned=pinned).hold == pinned


def test_whoever_is_suspended_goes_to_no_commit_that_a_person_named_either():
    old, named = resolution("1"), resolution("2")
    aim = choose(old, named, suspension=SUSPENDED, pinned=Hold(HoldKind.PINNED, "a person said so"))
    assert (aim.resolution, aim.hold) == (old, SUSPENDED)


def test_a_person_s_suspension_counts_before_any_commit_can_be_read():
    assert suspension(Suspension("disk", 1, 99), None, 50) == Hold("suspended", "suspended on this host: disk", 99)


def test_fleet_yaml_suspends_a_host_until_the_time_it_names():
    terms = HostTerms(suspensions=(Suspension("audit", 0, until=60),))
    assert suspension(None, terms, 50).until == 60
    assert suspension(None, terms, 60) is None


def test_whoever_is_suspended_by_the_newest_commit_is_not_touched_for_an_older_one_either():
    old, new = resolution("old"), resolution("new")
    assert choose(old, new, suspension=SUSPENDED).suspension == SUSPENDED
    assert choose(old, old, suspension=SUSPENDED).suspension == SUSPENDED
