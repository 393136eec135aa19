"""verify: who may sign what. The graphs are drawn; a letter in capitals is who signed, ``-`` is nobody.

``last`` is what the host trusted before.
"""

from __future__ import annotations

import pytest

from agent.errors import TrustError
from agent.host.exports import Exports
from tests.gitserver import Author
from tests.stage import Stage
from tests.steps.follower import SIGNERS, Host

# Who may sign


def test_a_commit_by_an_anchor_is_trusted_and_says_who(running: Host, ann: Author) -> None:
    head = running.repo.commit("Next", by=ann)
    trusted = running.pull()
    assert (trusted.sha, trusted.subject) == (head, "Next")
    assert trusted.signer is not None
    assert (trusted.signer.principal, trusted.signer.fingerprint) == ("ann@example.org", ann.fingerprint)


def test_a_commit_by_a_signer_of_the_commit_before_is_trusted(running: Host, bob: Author) -> None:
    running.repo.commit("Next", by=bob)
    signer = running.pull().signer
    assert signer is not None
    assert signer.principal == "bob@example.org"


def test_an_unsigned_commit_is_refused(running: Host) -> None:
    head = running.repo.commit("Oops\x1b[2J")
    error = running.refusal()
    assert error.kind == "unsigned"
    assert head[:12] in error.message
    assert r"Oops\x1b[2J" in error.message


def test_an_unsigned_commit_leaves_no_file_behind(running: Host, stage: Stage) -> None:
    exports = Exports(stage.folder / "commits", running.mirror)
    running.repo.commit("Unsigned", {"inventories/prod/site.yaml": "evil"})
    before = {path for path in stage.folder.rglob("*") if "repo.git" not in f"{path}"}
    with pytest.raises(TrustError):
        exports.folder(running.pull())
    assert {path for path in stage.folder.rglob("*") if "repo.git" not in f"{path}"} == before


def test_a_wrong_signer_is_refused_by_fingerprint(running: Host, eve: Author) -> None:
    running.repo.commit("Mine now", by=eve)
    error = running.refusal()
    assert error.kind == "wrong-signer"
    assert eve.fingerprint in error.message


def test_a_commit_cannot_let_its_own_author_in(running: Host, eve: Author) -> None:
    running.repo.commit("Welcome, Eve", {SIGNERS: f"{eve.line}\n"}, by=eve)
    assert running.refusal().kind == "wrong-signer"


def test_signers_of_another_inventory_count_for_nothing(running: Host, ann: Author, eve: Author) -> None:
    running.repo.commit("Lab", {"inventories/lab/trusted_signers": f"{eve.line}\n"}, by=ann)
    running.repo.commit("Next", by=eve)
    assert running.refusal().kind == "wrong-signer"


def test_a_key_that_expired_today_no_longer_signs_a_commit_dated_last_year(
    running: Host, ann: Author, bob: Author
) -> None:
    running.repo.commit("Bob until today", {SIGNERS: bob.line_with('valid-before="20260920"') + "\n"}, by=ann)
    running.pull()
    running.repo.commit("Backdated", by=bob, date="2025-01-01T00:00:00Z")
    assert running.refusal().kind == "expired-key"


def test_a_pgp_signature_is_refused_by_its_name(running: Host) -> None:
    repo = running.repo
    armour = "-----BEGIN PGP SIGNATURE-----\n \n iQEz\n -----END PGP SIGNATURE-----"
    person = "Ann <ann@example.org> 1789000000 +0000"
    text = (
        f"tree {repo.git('rev-parse', 'HEAD^{tree}')}\nparent {repo.head}\n"
        f"author {person}\ncommitter {person}\ngpgsig {armour}\n\nBy PGP\n"
    )
    (repo.path.parent / "commit").write_text(text)
    sha = repo.git("hash-object", "-w", "-t", "commit", f"{repo.path.parent}/commit")
    repo.git("update-ref", "refs/heads/main", sha)
    error = running.refusal()
    assert error.kind == "pgp-signature"
    assert "gpg.format ssh" in error.hint


# The range since the last trusted commit


def test_a_signed_commit_on_top_of_an_unsigned_one_is_refused(running: Host, ann: Author) -> None:
    """last(A) ── -  ── A"""
    bad = running.repo.commit("Unsigned")
    running.repo.commit("Signed", by=ann)
    error = running.refusal()
    assert error.kind == "unsigned"
    assert bad[:12] in error.message


def test_a_new_signer_may_sign_what_follows_the_commit_that_lets_him_in(
    running: Host, ann: Author, eve: Author
) -> None:
    """last(A) ── A: Eve may ── E"""
    running.repo.commit("Eve may", {SIGNERS: f"{eve.line}\n"}, by=ann)
    head = running.repo.commit("By Eve", by=eve)
    assert running.pull().sha == head


def test_a_signer_who_was_removed_may_not_sign_what_follows(running: Host, ann: Author, bob: Author) -> None:
    """last(A) ── A: Bob may not ── B"""
    running.repo.commit("Bob may not", {SIGNERS: "# nobody\n"}, by=ann)
    running.repo.commit("By Bob", by=bob)
    assert running.refusal().kind == "wrong-signer"


def test_a_commit_may_remove_its_own_key_and_is_the_last_of_it(running: Host, bob: Author, eve: Author) -> None:
    """last(A) ── B: Eve instead of Bob ── B"""
    head = running.repo.commit("Eve instead of me", {SIGNERS: f"{eve.line}\n"}, by=bob)
    assert running.pull().sha == head
    running.repo.commit("Still me", by=bob)
    assert running.refusal().kind == "wrong-signer"


def test_no_commit_can_remove_an_anchor(running: Host, ann: Author, bob: Author) -> None:
    running.repo.commit("Ann may not", {SIGNERS: None}, by=bob)
    running.repo.commit("By Ann", by=ann)
    assert running.pull().subject == "By Ann"


def test_a_signed_merge_vouches_for_unsigned_commits(running: Host, ann: Author) -> None:
    """last(A) ──── A
    └── - ──┘"""
    repo = running.repo
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Unsigned", {"x": "y"})
    repo.git("checkout", "--quiet", "main")
    head = repo.merge("side", by=ann)
    assert running.pull().sha == head


def test_an_unsigned_merge_of_signed_commits_is_refused(running: Host, ann: Author) -> None:
    """last(A) ──── -
    └── A ──┘"""
    repo = running.repo
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Signed", {"x": "y"}, by=ann)
    repo.git("checkout", "--quiet", "main")
    repo.merge("side")
    assert running.refusal().kind == "unsigned"


def test_a_merge_after_git_pull_is_trusted_though_last_is_not_on_its_first_parent_line(
    running: Host, ann: Author, bob: Author
) -> None:
    """base ── B(local) ── B(merge)
    └── last(A) ──────┘"""
    repo = running.repo
    repo.git("branch", "local")
    repo.commit("Pushed by Ann", {"a": "x"}, by=ann)
    running.pull()
    repo.git("checkout", "--quiet", "local")
    repo.commit("Local work of Bob", {"b": "x"}, by=bob)
    head = repo.merge("main", by=bob)
    repo.git("branch", "--force", "main", "local")
    assert running.pull().sha == head


def test_a_signer_who_was_removed_does_not_come_back_by_a_branch_from_before(
    running: Host, ann: Author, bob: Author
) -> None:
    """base: Bob may ── A(abandoned) ── B ── B(merge)      Bob is in the abandoned commit's trusted_signers
    └── last(A): Bob may not ──────────────┘"""
    repo = running.repo
    repo.git("branch", "abandoned")
    repo.commit("Bob may not", {SIGNERS: "# nobody\n"}, by=ann)
    running.pull()
    repo.git("checkout", "--quiet", "abandoned")
    repo.commit("Abandoned work of Ann", {"a": "x"}, by=ann)
    repo.commit("By Bob", {"b": "x"}, by=bob)
    repo.git("merge", "--quiet", "--no-commit", "--no-ff", "-s", "ours", "main")
    repo.commit("Merge", by=bob)
    repo.git("branch", "--force", "main", "abandoned")
    error = running.refusal()
    assert error.kind == "wrong-signer"
    assert "By Bob" in error.message
