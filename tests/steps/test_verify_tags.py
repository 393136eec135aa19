"""verify, where tags are accepted: which tag is taken, and whose. In the graphs a letter in capitals is who signed,
``-`` is nobody; a tag stands behind its commit with who signed it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.domain.commit import TrustMode
from agent.steps.fetch import TAGS_LIMIT
from tests.gitserver import Author, ConfigRepo
from tests.stage import Stage
from tests.steps.follower import SIGNERS, Host, staged

FLEET = "inventories/prod/fleet.yaml"
TAGS = {FLEET: 'trust: {accept: [{tags: "v*"}]}\n'}
BOTH = {FLEET: 'trust: {accept: [commits, {tags: "v*"}]}\n'}


@pytest.fixture
def tagged(stage: Stage, ann: Author, bob: Author) -> Iterator[Host]:
    """As ``running``, but takes nothing but tags from here on."""

    def prepare(host: Host) -> None:
        host.repo.commit("First", {SIGNERS: f"{bob.line}\n"}, by=ann)
        host.pull()
        host.repo.commit("Only tags", TAGS, by=ann)
        host.pull()

    host = staged(stage, "tagged", ann, prepare)
    yield host
    host.mirror.close()


def stays(host: Host) -> None:
    """Nothing newer is taken, and nothing is wrong."""
    before = host.record
    assert host.pull().sha == before.last
    assert host.record == before


# What is taken


def test_a_commit_without_a_tag_is_not_taken_and_nothing_is_wrong(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("Signed, not released", by=ann)
    stays(tagged)


def test_a_signed_tag_vouches_for_unsigned_commits(tagged: Host, ann: Author) -> None:
    """last(A) ── - ── - v1(A)"""
    tagged.repo.commit("One")
    head = tagged.repo.commit("Two")
    tagged.repo.tag("v1", by=ann)
    trusted = tagged.pull()
    assert (trusted.sha, trusted.subject) == (head, "Two")
    assert trusted.signer is not None
    assert (trusted.signer.principal, trusted.tag and trusted.tag.name) == ("ann@example.org", "v1")


def test_the_newest_tagged_commit_is_taken_and_what_is_behind_it_waits(tagged: Host, ann: Author) -> None:
    """last(A) ── - v1(A) ── - v2(A) ── -"""
    tagged.repo.commit("One")
    tagged.repo.tag("v1", by=ann)
    second = tagged.repo.commit("Two")
    tagged.repo.tag("v2", by=ann)
    tagged.repo.commit("Three")
    assert tagged.pull().sha == second
    stays(tagged)


def test_a_tag_on_a_commit_from_before_is_not_taken(tagged: Host, ann: Author) -> None:
    tagged.repo.tag("v0", "HEAD~1", by=ann)
    stays(tagged)


def test_a_tag_that_does_not_match_is_not_taken(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("test-1", by=ann)
    stays(tagged)


def test_a_tag_off_the_branch_is_not_taken(tagged: Host, ann: Author) -> None:
    """last(A) ──── -
    └── A v1(A)"""
    repo = tagged.repo
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Side", {"x": "y"}, by=ann)
    repo.tag("v1", by=ann)
    repo.git("checkout", "--quiet", "main")
    repo.commit("Main")
    stays(tagged)


def test_a_tag_on_what_was_merged_is_not_taken(tagged: Host, ann: Author) -> None:
    """last(A) ──── -(merge)
    └── A v1(A) ─┘"""
    repo = tagged.repo
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Side", {"x": "y"}, by=ann)
    repo.tag("v1", by=ann)
    repo.git("checkout", "--quiet", "main")
    repo.merge("side")
    stays(tagged)


def test_the_tip_is_taken_as_a_commit_first_where_both_are_accepted(running: Host, ann: Author) -> None:
    running.repo.commit("Both", BOTH, by=ann)
    running.pull()
    running.repo.commit("One", by=ann)
    running.repo.tag("v1", by=ann)
    head = running.repo.commit("Two", by=ann)
    trusted = running.pull()
    assert (trusted.sha, trusted.tag) == (head, None)


def test_a_tag_counts_where_the_commits_do_not_and_both_are_accepted(running: Host, ann: Author) -> None:
    running.repo.commit("Both", BOTH, by=ann)
    running.pull()
    head = running.repo.commit("Unsigned")
    running.repo.tag("v1", by=ann)
    assert running.pull().sha == head
    running.repo.commit("Unsigned, no tag")
    assert running.refusal().kind == "unsigned"


def test_what_is_accepted_is_what_the_commit_trusted_last_says(tagged: Host, ann: Author) -> None:
    """last(A): tags ── A: commits ── A"""
    tagged.repo.commit("Commits again", {FLEET: "trust: {accept: [commits]}\n"}, by=ann)
    tagged.repo.commit("One", by=ann)
    stays(tagged)
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    head = tagged.repo.commit("Two", by=ann)
    assert tagged.pull().sha == head


def test_a_fleet_yaml_that_cannot_be_read_leaves_what_was_accepted_before(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("Broken", {FLEET: "trust: ["})
    tagged.repo.tag("v1", by=ann)
    tagged.remembered = tagged_accept = tagged.remembered.__class__(commits=False, tags=("v*",))
    tagged.pull()
    tagged.repo.commit("Signed, not released", by=ann)
    stays(tagged)
    assert tagged.remembered == tagged_accept


@pytest.mark.parametrize("mode", TrustMode)
def test_a_host_that_begins_at_a_minimal_commit_goes_on_to_the_newest_tag_at_once(
    host: Host, ann: Author, mode: TrustMode
) -> None:
    """min(A): tags ── - v1(A) ── -"""
    host.mode = mode
    host.min_commit = host.repo.commit("Only tags", TAGS, by=ann)
    released = host.repo.commit("One")
    host.repo.tag("v1", by=ann)
    host.repo.commit("Two")
    assert host.pull().sha == released


def test_a_host_that_begins_without_one_takes_the_tip_as_a_commit(host: Host, ann: Author) -> None:
    """A: tags v1(A) ── A"""
    host.repo.commit("Only tags", TAGS, by=ann)
    host.repo.tag("v1", by=ann)
    tip = host.repo.commit("Not released", by=ann)
    assert host.pull().sha == tip


def test_an_unsigned_host_takes_the_newest_annotated_tag(tagged: Host) -> None:
    tagged.mode = TrustMode.UNSIGNED
    head = tagged.repo.commit("One")
    tagged.repo.tag("v1")
    trusted = tagged.pull()
    assert (trusted.sha, trusted.signer) == (head, None)


# Who may sign


def test_a_tag_is_judged_by_the_signers_of_the_commit_trusted_last(tagged: Host, bob: Author, eve: Author) -> None:
    """last(A): Bob may ── -: Eve may v1(E)"""
    tagged.repo.commit("Eve may", {SIGNERS: f"{eve.line}\n"})
    tagged.repo.tag("v1", by=eve)
    assert tagged.refusal().kind == "wrong-signer"
    tagged.repo.tag("v2", by=bob)
    tagged.pull()
    tagged.repo.commit("One")
    tagged.repo.tag("v3", by=eve)
    assert tagged.pull().tag


def test_a_tag_signed_with_an_expired_key_is_refused(tagged: Host, ann: Author, bob: Author) -> None:
    tagged.repo.commit("Until yesterday", {SIGNERS: bob.line_with('valid-before="20260920"') + "\n"})
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    tagged.repo.commit("One")
    tagged.repo.tag("v2", by=bob)
    assert tagged.refusal().kind == "expired-key"


# What is refused


def test_an_unsigned_tag_is_refused(tagged: Host) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("v1")
    error = tagged.refusal()
    assert error.kind == "unsigned"
    assert "tag v1" in error.message
    assert "git tag -s" in error.hint


def test_a_lightweight_tag_is_refused_whoever_signed_the_commit(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One", by=ann)
    tagged.repo.git("tag", "v1")
    error = tagged.refusal()
    assert error.kind == "unsigned"
    assert "lightweight" in error.message


def test_a_refused_tag_does_not_stand_before_a_good_one_and_is_told_afterwards(tagged: Host, ann: Author) -> None:
    """last(A) ── - v1(A) ── - v2(-)"""
    good = tagged.repo.commit("One")
    tagged.repo.tag("v1", by=ann)
    tagged.repo.commit("Two")
    tagged.repo.tag("v2")
    assert tagged.pull().sha == good
    assert "tag v2" in tagged.refusal().message


def test_a_tag_under_another_name_is_refused(tagged: Host, ann: Author) -> None:
    """Whoever can push, but not sign, would make a release of what was tagged as something else."""
    tagged.repo.commit("One")
    test = tagged.repo.tag("test-1", by=ann)
    tagged.repo.git("update-ref", "refs/tags/v9", test)
    error = tagged.refusal()
    assert error.kind == "bad-tag"
    assert "test-1" in error.message


def test_a_tag_of_a_tag_is_refused(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("inner", by=ann)
    tagged.repo.tag("v1", "inner", by=ann)
    assert tagged.refusal().kind == "bad-tag"


@pytest.mark.parametrize("what", ["HEAD^{tree}", "HEAD:inventories/prod/trusted_signers"])
def test_a_tag_of_something_that_is_no_commit_is_passed_over(tagged: Host, ann: Author, what: str) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("v1", what, by=ann)
    stays(tagged)


def test_a_tag_whose_signature_was_taken_from_another_is_refused(tagged: Host, ann: Author) -> None:
    repo = tagged.repo
    repo.commit("One")
    repo.tag("v1", by=ann)
    repo.commit("Evil")
    text = repo.git("cat-file", "tag", "v1").replace(repo.git("rev-parse", "v1^{commit}"), repo.head)
    forge(repo, "v2", text.replace("tag v1", "tag v2"))
    repo.git("tag", "-d", "v1")
    assert tagged.refusal().kind == "bad-signature"


def test_words_behind_the_signature_are_refused(tagged: Host, ann: Author) -> None:
    repo = tagged.repo
    repo.commit("One")
    repo.tag("v1", by=ann)
    forge(repo, "v1", repo.git("cat-file", "tag", "v1") + "\nand more\n")
    assert tagged.refusal().kind == "bad-signature"


def test_a_tag_that_was_moved_is_refused_though_a_signer_moved_it(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    tagged.repo.commit("Two")
    tagged.repo.tag("v1", by=ann, force=True)
    assert tagged.refusal().kind == "tag-moved"
    tagged.repo.tag("v2", by=ann)
    assert tagged.pull().tag


@pytest.mark.parametrize("to", ["HEAD~1", "HEAD~2"])
def test_a_tag_that_was_moved_back_is_told(tagged: Host, ann: Author, to: str) -> None:
    tagged.repo.commit("One")
    tagged.repo.commit("Two")
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    tagged.repo.tag("v1", to, by=ann, force=True)
    error = tagged.refusal()
    assert (error.kind, "was trusted under that name" in error.message) == ("tag-moved", True)


def test_a_tag_that_is_gone_is_missed_by_nobody(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    tagged.repo.git("tag", "-d", "v1")
    stays(tagged)


def test_a_rewritten_history_is_refused_under_a_good_tag_too(tagged: Host, ann: Author) -> None:
    tagged.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    tagged.repo.commit("Another history", TAGS, by=ann)
    tagged.repo.tag("v1", by=ann)
    assert tagged.refusal().kind == "history-rewritten"


def test_hostile_names_of_tags_are_passed_over(tagged: Host, stage: Stage, ann: Author, tmp_path: Path) -> None:
    repo = tagged.repo
    repo.commit("One")
    tag = repo.tag("v1", by=ann)
    packed = repo.path / ".git/packed-refs"
    names = ("v$(touch pwned)", "--upload-pack=touch pwned", "v2\u202e", "v;touch pwned", "v`touch pwned`")
    packed.write_text("".join(f"{tag} refs/tags/{name}\n" for name in sorted(names)))
    assert tagged.pull().tag
    assert not [*tmp_path.rglob("pwned"), *stage.folder.rglob("pwned")]


def test_no_more_tags_are_looked_at_than_a_release_can_have(tagged: Host, ann: Author) -> None:
    repo = tagged.repo
    repo.commit("One")
    tag = repo.tag("v1")
    packed = "".join(f"{tag} refs/tags/v{number:05}\n" for number in range(5000))
    (repo.path / ".git/packed-refs").write_text(packed)
    assert tagged.refusal().kind == "bad-tag"
    repo.commit("Two")
    released = repo.tag("w1", by=ann)
    repo.git("update-ref", "refs/tags/v99999", repo.tag("v99999", by=ann))
    assert released
    assert tagged.pull().tag
    assert TAGS_LIMIT < 5000


# The mirror


def test_a_mirror_that_is_lost_forgets_neither_history_nor_moved_tags(tagged: Host, ann: Author) -> None:
    tagged.repo.commit("One")
    tagged.repo.tag("v1", by=ann)
    tagged.pull()
    tagged.mirror.close()
    shutil.rmtree(tagged.mirror.path)
    stays(tagged)
    tagged.repo.commit("Two")
    tagged.repo.tag("v1", by=ann, force=True)
    assert tagged.refusal().kind == "tag-moved"


def forge(repo: ConfigRepo, name: str, text: str) -> None:
    """A tag object of these words."""
    path = repo.path.parent / "forged"
    path.write_text(text if text.endswith("\n") else f"{text}\n")
    sha = repo.git("hash-object", "-w", "-t", "tag", "--literally", f"{path}")
    repo.git("update-ref", f"refs/tags/{name}", sha)
