"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: commits that are signed, and not for the branch that the host follows. In the graphs W is a colleague's signed
work on a branch that was never merged.
"""

from __future__ import annotations

import dataclasses

import pytest

from agent.domain.commit import TrustMode
from agent.domain.sightings import KEPT, Sightings
from agent.host.state import Memory
from tests.adversary.victim import EVIL, FLEET, Victim, motd
from tests.gitserver import Author

NAMED: dict[str, str | bytes | None] = {FLEET: "trust: {branch: named}\n"}
ANY: dict[str, str | bytes | None] = {FLEET: "trust: {branch: any}\n"}


def move(host: Victim, sha: str) -> None:
    """What Eve can do: put ``main`` somewhere."""
    host.repo.git("update-ref", "refs/heads/main", sha)
    host.repo.git("reset", "--quiet", "--hard", "main")


def branch(host: Victim, name: str, at: str = "main") -> None:
    host.repo.git("checkout", "--quiet", "-B", name, at)


def work(host: Victim, by: Author, *subjects: str, name: str = "work") -> list[str]:
    """Signed commits on a branch of that name; ``main`` is checked out afterwards."""
    branch(host, name)
    made = [host.repo.commit(subject, EVIL | {subject.split()[0]: "x"}, by=by) for subject in subjects]
    host.repo.git("checkout", "--quiet", "main")
    return made


def test_main_on_a_colleague_s_branch_that_was_never_merged(host: Victim, bob: Author) -> None:
    """first ── W      the host saw W on `work` first"""
    (tip,) = work(host, bob, "W")
    assert host.cycle().problems == ()
    with host.attacked("other-branch"):
        move(host, tip)


def test_main_on_a_commit_below_the_tip_of_such_a_branch(host: Victim, bob: Author) -> None:
    """first ── W1 ── W2      W1 never was a tip that the host could see"""
    middle, _ = work(host, bob, "W1", "W2")
    assert host.cycle().problems == ()
    with host.attacked("other-branch"):
        move(host, middle)


def test_main_on_such_a_branch_that_is_gone_by_then(host: Victim, bob: Author) -> None:
    middle, tip = work(host, bob, "W1", "W2")
    host.cycle()
    host.repo.git("branch", "-D", "work")
    for sha in (tip, middle):
        with host.attacked("other-branch"):
            move(host, sha)


def test_main_on_a_branch_while_garbage_was_on_it(host: Victim, bob: Author) -> None:
    """first ── W ── garbage (main)      what is behind a refused tip was not seen on main first"""
    (tip,) = work(host, bob, "W")
    good = host.repo.head
    branch(host, "garbage", "work")
    garbage = host.repo.commit("Garbage")
    host.repo.git("checkout", "--quiet", "main")
    move(host, garbage)
    assert [problem.kind for problem in host.cycle().problems] == ["unsigned"]
    assert host.last == good
    with host.attacked("other-branch"):
        move(host, tip)


def test_putting_main_back_needs_nobody(host: Victim, ann: Author, bob: Author) -> None:
    (tip,) = work(host, bob, "W")
    host.cycle()
    good = host.repo.head
    with host.attacked("other-branch"):
        move(host, tip)
    move(host, good)
    assert host.cycle().problems == ()
    head = host.repo.commit("Next", motd("next"), by=ann)
    assert host.cycle().commits.trusted == head


def test_a_flood_of_branches_does_not_make_it_forget_those_that_are_there(host: Victim, bob: Author) -> None:
    (tip,) = work(host, bob, "W")
    host.cycle()
    known = host.parts.memory.sightings()
    assert known is not None
    flood = {f"{number:040x}": "flood" for number in range(KEPT)}
    host.parts.memory.keep_sightings(known.after(flood, [tip]))
    with host.attacked("other-branch"):
        move(host, tip)


def test_what_it_saw_is_not_forgotten_with_the_document(host: Victim, bob: Author) -> None:
    (tip,) = work(host, bob, "W")
    host.cycle()
    host.parts.paths.document("sighted").unlink()
    with host.attacked("other-branch", cycles=1):
        move(host, tip)


def test_a_trailer_for_another_branch(host: Victim, ann: Author) -> None:
    """Nobody has to have seen it before."""
    with host.attacked("other-branch"):
        host.repo.commit("For the laboratory\n\nHostwright-Branch: lab", EVIL, by=ann)


def test_a_branch_whose_first_commit_says_what_it_is_for(host: Victim, ann: Author) -> None:
    """first ── a (for lab) ── b      b says nothing, and goes on from what is for lab"""
    host.repo.commit("Begin the laboratory\n\nHostwright-Branch: lab", EVIL, by=ann)
    with host.attacked("other-branch"):
        host.repo.commit("Go on", EVIL | {"more": "x"}, by=ann)


def test_a_trailer_in_the_middle_of_the_text_is_none(host: Victim, ann: Author) -> None:
    head = host.repo.commit("Second\n\nHostwright-Branch: lab\n\nwas what we said before.", motd("second"), by=ann)
    assert (host.cycle().problems, host.last) == ((), head)


def test_an_unsigned_trailer_says_nothing(host: Victim, bob: Author) -> None:
    """Eve names the branch in a commit of her own on top."""
    (tip,) = work(host, bob, "W")
    host.cycle()
    with host.attacked("unsigned"):
        move(host, tip)
        host.repo.commit("Take it\n\nHostwright-Branch: main")


def test_only_commits_that_name_the_branch_where_the_fleet_asks_for_it(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Say where to", NAMED, by=ann)
    host.cycle()
    with host.attacked("other-branch"):
        host.repo.commit("Says nothing", EVIL, by=bob)
    head = host.repo.commit("Go on\n\nHostwright-Branch: main", motd("further"), by=bob)
    assert (host.cycle().problems, host.last) == ((), head)


def test_a_first_contact_that_is_offered_what_is_for_another_branch(host: Victim, ann: Author) -> None:
    host.repo.commit("For the laboratory\n\nHostwright-Branch: lab", EVIL, by=ann)
    host.parts.paths.document("trust").unlink()
    assert [problem.kind for problem in host.cycle().problems] == ["other-branch"]
    assert host.last is None


def test_a_first_contact_with_a_fleet_that_asks_for_the_name(host: Victim, ann: Author) -> None:
    host.repo.commit("Say where to", NAMED, by=ann)
    host.parts.paths.document("trust").unlink()
    assert [problem.kind for problem in host.cycle().problems] == ["other-branch"]


# What is no attack


def test_a_signed_merge_takes_a_branch_in(host: Victim, ann: Author, bob: Author) -> None:
    work(host, bob, "W1", "W2")
    host.cycle()
    head = host.repo.merge("work", by=ann)
    assert (host.cycle().problems, host.last) == ((), head)


def test_a_signed_empty_commit_takes_a_branch_in(host: Victim, ann: Author, bob: Author) -> None:
    """As the hint says."""
    (tip,) = work(host, bob, "W")
    host.cycle()
    move(host, tip)
    assert host.cycle().problems[0].hint.startswith("whoever is trusted signs what moves main: `git merge --no-ff -S")
    head = host.repo.commit("Take it", by=ann)
    assert (host.cycle().problems, host.last) == ((), head)


def test_a_trailer_for_this_branch_counts_wherever_the_commit_was_seen(host: Victim, bob: Author) -> None:
    (tip,) = work(host, bob, "W\n\nHostwright-Branch: stable\nHostwright-Branch: main")
    host.cycle()
    move(host, tip)
    assert (host.cycle().problems, host.last) == ((), tip)


def test_a_branch_that_begins_at_the_newest_commit_does_no_harm(host: Victim, ann: Author) -> None:
    """main and the new branch are seen at the same time."""
    head = host.repo.commit("Second", motd("second"), by=ann)
    branch(host, "topic")
    host.repo.commit("On it", by=ann)
    host.repo.git("checkout", "--quiet", "main")
    assert (host.cycle().problems, host.last) == ((), head)
    head = host.repo.commit("Third", motd("third"), by=ann)
    assert (host.cycle().problems, host.last) == ((), head)


def test_a_host_that_root_puts_on_another_branch_follows_it(host: Victim, bob: Author) -> None:
    """Such as one for an emergency."""
    (tip,) = work(host, bob, "W", name="emergency")
    host.cycle()
    host.parts = dataclasses.replace(host.parts, settings=dataclasses.replace(host.parts.settings, branch="emergency"))
    assert (host.cycle().problems, host.last) == ((), tip)


def test_where_nobody_asks_for_signatures_every_branch_will_do(host: Victim, bob: Author) -> None:
    host.parts = dataclasses.replace(
        host.parts, settings=dataclasses.replace(host.parts.settings, trust=TrustMode.UNSIGNED)
    )
    (tip,) = work(host, bob, "W\n\nHostwright-Branch: lab")
    host.cycle()
    move(host, tip)
    assert (host.cycle().problems, host.last) == ((), tip)


def test_a_fleet_that_moves_branches_forward_may_say_so(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Fast-forward", ANY, by=ann)
    host.cycle()
    (tip,) = work(host, bob, "W")
    host.cycle()
    move(host, tip)
    assert (host.cycle().problems, host.last) == ((), tip)


def test_a_signed_tag_says_what_it_is_for(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Tags too", {FLEET: 'trust: {accept: [commits, {tags: "v*"}]}\n'}, by=ann)
    host.cycle()
    (tip,) = work(host, bob, "W")
    host.cycle()
    move(host, tip)
    host.repo.tag("v1", by=ann)
    assert (host.cycle().problems, host.last) == ((), tip)


def test_the_branches_of_reports_are_not_looked_at(host: Victim, ann: Author) -> None:
    branch(host, "status")
    host.repo.commit("web1: converged")
    host.repo.git("checkout", "--quiet", "main")
    host.cycle()
    assert host.parts.memory.sightings() in (None, Sightings(host.parts.memory.sightings().followed))  # type: ignore[union-attr]


@pytest.mark.parametrize("content", ["{", '{"commits": ["x", 5]}', '{"followed": [], "commits": {}}', "[]"])
def test_a_ruined_document_of_what_was_seen_is_set_aside(host: Victim, content: str) -> None:
    host.parts.paths.document("sighted").write_text(content)
    assert [error.kind for error in Memory(host.parts.paths).heal()] == ["state-corrupt"]
    assert host.cycle().problems == ()
