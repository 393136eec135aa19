"""verify: history only grows, and how a host begins. In the graphs a letter in capitals is who signed."""

from __future__ import annotations

import pytest

from agent.domain.commit import TrustMode
from agent.errors import TrustError
from agent.steps.verify import recall
from tests.gitserver import Author
from tests.steps.follower import SIGNERS, Host

# History only grows


@pytest.mark.parametrize("mode", TrustMode)
def test_a_rewritten_history_is_refused_and_stays_refused(running: Host, ann: Author, mode: TrustMode) -> None:
    """base ── last
    └──── A(rewritten) ── A(more)"""
    running.mode = mode
    running.repo.commit("Second", by=ann)
    running.pull()
    running.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    running.repo.commit("Rewritten", by=ann)
    assert running.refusal().kind == "history-rewritten"
    running.repo.commit("More", by=ann)
    error = running.refusal()
    assert error.kind == "history-rewritten"
    assert "git revert" in error.hint


@pytest.mark.parametrize("mode", TrustMode)
def test_rolling_the_branch_back_to_an_older_commit_is_refused(running: Host, ann: Author, mode: TrustMode) -> None:
    running.mode = mode
    running.repo.commit("Second", by=ann)
    running.pull()
    running.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    assert running.refusal().kind == "history-rewritten"


def test_an_unrelated_history_is_refused(running: Host, ann: Author) -> None:
    running.repo.git("checkout", "--quiet", "--orphan", "other")
    running.repo.commit("Another beginning", by=ann)
    running.repo.git("branch", "--force", "main", "other")
    assert running.refusal().kind == "history-rewritten"


def test_a_refused_history_that_comes_back_is_trusted_again(running: Host, ann: Author) -> None:
    good = running.repo.commit("Second", by=ann)
    running.pull()
    running.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    running.refusal()
    running.repo.git("reset", "--quiet", "--hard", good)
    running.repo.git("revert", "--no-commit", "HEAD")
    head = running.repo.commit("Revert", by=ann)
    assert running.pull().sha == head


# The commit in force


def test_the_commit_in_force_stays_trusted(running: Host) -> None:
    first = running.pull()
    assert first == running.pull()
    assert first.signer is not None


def test_the_commit_in_force_stays_trusted_when_its_key_is_gone(running: Host, bob: Author, eve: Author) -> None:
    running.repo.commit("By Bob", by=bob)
    running.pull()
    running.now += 10**9
    running.anchors.write_text(f"{eve.line}\n")
    assert running.pull().subject == "By Bob"


def test_a_commit_that_was_never_signed_is_refused_once_signatures_are_asked_for(host: Host) -> None:
    host.repo.commit("Unsigned")
    host.mode = TrustMode.UNSIGNED
    host.pull()
    host.mode = TrustMode.SIGNED
    assert host.refusal().kind == "unsigned"


# First contact


def test_the_first_commit_must_be_signed_by_an_anchor(host: Host, ann: Author) -> None:
    host.repo.commit("Older, unsigned")
    head = host.repo.commit("First seen", by=ann)
    assert host.pull().sha == head


def test_a_signer_that_only_the_first_commit_names_does_not_vouch_for_it(host: Host, ann: Author, bob: Author) -> None:
    host.repo.commit("Bob may", {SIGNERS: f"{bob.line}\n"}, by=ann)
    host.repo.commit("By Bob", by=bob)
    assert host.refusal().kind == "wrong-signer"


def test_from_the_minimal_commit_on_signers_may_change(host: Host, ann: Author, bob: Author) -> None:
    host.min_commit = host.repo.commit("Bob may", {SIGNERS: f"{bob.line}\n"}, by=ann)
    head = host.repo.commit("By Bob", by=bob)
    assert host.pull().sha == head


def test_the_minimal_commit_may_be_the_tip(host: Host, ann: Author) -> None:
    host.min_commit = host.repo.commit("First", by=ann)
    assert host.pull().sha == host.min_commit


def test_the_minimal_commit_must_be_signed_by_an_anchor(host: Host, ann: Author, bob: Author) -> None:
    host.min_commit = host.repo.commit("By Bob", {SIGNERS: f"{bob.line}\n"}, by=bob)
    host.repo.commit("By Ann", by=ann)
    assert host.refusal().kind == "wrong-signer"


@pytest.mark.parametrize("mode", TrustMode)
def test_a_remote_that_shows_something_older_than_the_minimal_commit_is_refused(
    host: Host, ann: Author, mode: TrustMode
) -> None:
    host.mode = mode
    host.repo.commit("Old", by=ann)
    host.min_commit = host.repo.commit("New", by=ann)
    host.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    assert host.refusal().kind == "min-commit"


@pytest.mark.parametrize("text", [None, "", "# nobody yet\n\n"])
def test_without_anchors_nothing_is_trusted(host: Host, ann: Author, text: str | None) -> None:
    host.repo.commit("First", {SIGNERS: f"{ann.line}\n"}, by=ann)
    host.anchors.unlink()
    if text is not None:
        host.anchors.write_text(text)
    error = host.refusal()
    assert error.kind == "no-anchors"
    assert "--trust unsigned" in error.hint


def test_a_host_that_asks_for_no_signatures_trusts_whoever_can_push(host: Host) -> None:
    host.mode = TrustMode.UNSIGNED
    host.anchors.unlink()
    host.repo.commit("Anybody")
    assert host.pull().signer is None


# Commits trusted earlier


def test_a_commit_trusted_earlier_is_recalled(running: Host, ann: Author) -> None:
    first = running.last
    running.repo.commit("Second", by=ann)
    last = running.pull().sha
    assert first is not None
    assert recall(first, mirror=running.mirror, last=last).sha == first
    assert recall(last, mirror=running.mirror, last=last).sha == last


def test_a_commit_that_is_not_in_the_trusted_history_is_not_recalled(running: Host, ann: Author) -> None:
    last = running.last
    assert last is not None
    newer = running.repo.commit("Fetched, not trusted", by=ann)
    running.mirror.fetch(f"{running.repo.path}", "main")
    for sha in (newer, "0" * 40, "main", "HEAD"):
        with pytest.raises(TrustError):
            recall(sha, mirror=running.mirror, last=last)
