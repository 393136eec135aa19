"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: who signed, and a history that is another one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.adversary.victim import EVIL, SIGNERS, SITE, Victim, motd
from tests.gitserver import Author


def test_unsigned(host: Victim) -> None:
    with host.attacked("unsigned"):
        host.repo.commit("Evil", EVIL)


def test_wrong_signer(host: Victim, eve: Author) -> None:
    with host.attacked("wrong-signer"):
        host.repo.commit("Evil", EVIL | {SIGNERS: f"{eve.line}\n"}, by=eve)


def test_expired_key_and_a_date_from_before(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Bob until yesterday", {SIGNERS: bob.line_with('valid-before="20260920"') + "\n"}, by=ann)
    host.cycle()
    with host.attacked("expired-key"):
        host.repo.commit("Evil", EVIL, by=bob, date="2025-01-01T00:00:00Z")


def test_a_key_of_tomorrow(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Bob from next year", {SIGNERS: bob.line_with('valid-after="20270101"') + "\n"}, by=ann)
    host.cycle()
    with host.attacked("expired-key"):
        host.repo.commit("Evil", EVIL, by=bob, date="2027-05-01T00:00:00Z")


def test_signed_on_top_of_unsigned(host: Victim, ann: Author) -> None:
    with host.attacked("unsigned"):
        host.repo.commit("Evil", EVIL)
        host.repo.commit("Looks fine", {"README.md": "hello\n"}, by=ann)


def test_a_removed_signer(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Bob may not", {SIGNERS: "# nobody\n"}, by=ann)
    host.cycle()
    with host.attacked("wrong-signer"):
        host.repo.commit("Evil", EVIL, by=bob)


def test_a_key_for_something_else(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Bob signs files", {SIGNERS: bob.line_with('namespaces="file"') + "\n"}, by=ann)
    host.cycle()
    with host.attacked("wrong-signer"):
        host.repo.commit("Evil", EVIL, by=bob)


def test_a_signer_who_empties_trusted_signers_cannot_shut_an_anchor_out(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Nobody may", {SIGNERS: None}, by=bob)
    host.cycle()
    good = host.repo.commit("Ann still may", motd("still"), by=ann)
    assert host.cycle().commits.trusted == good
    assert host.engine.applied[-1] == good


def test_a_signer_who_leaves_takes_the_host_with_him(host: Victim, bob: Author, eve: Author) -> None:
    """Bob hands over to Eve in a commit that only he signed: nothing of it is applied, nor is anything repaired."""
    host.repo.commit("Eve instead of me", EVIL | {SIGNERS: f"{eve.line}\n"}, by=bob)
    applied = [*host.engine.applied]
    for _ in range(2):
        host.engine.drifted = True
        report = host.cycle()
        assert [problem.kind for problem in report.problems] == ["signer-revoked"]
        assert "signer-revoked" in [hold.kind for hold in report.holds]
        assert (report.phase.value, report.problems[0].exit) == ("failed", 5)
        assert "bob@example.org" in report.problems[0].message
        assert host.engine.applied == applied


def test_a_frozen_host_thaws_with_who_counts(host: Victim, ann: Author, bob: Author) -> None:
    host.repo.commit("Nobody may", EVIL | {SIGNERS: None}, by=bob)
    host.cycle()
    head = host.repo.commit("Bob may again", motd("fine") | {SIGNERS: f"{bob.line}\n"}, by=ann)
    assert host.cycle().problems == ()
    assert host.engine.applied[-1] == head


def test_a_frozen_host_stays_frozen_while_the_server_is_away(host: Victim, bob: Author) -> None:
    host.repo.commit("Nobody may", {SIGNERS: None}, by=bob)
    host.cycle()
    applied = [*host.engine.applied]
    host.engine.drifted = True
    host.repo.path.rename(host.repo.path.with_name("away"))
    assert "signer-revoked" in [problem.kind for problem in host.cycle().problems]
    assert host.engine.applied == applied


# History


def test_rewritten_history_whoever_signed_it(host: Victim, ann: Author) -> None:
    host.repo.commit("Second", motd("second"), by=ann)
    host.cycle()
    with host.attacked("history-rewritten", cycles=4):
        host.repo.git("reset", "--quiet", "--hard", "HEAD~1")
        host.repo.commit("Another second", EVIL, by=ann)


def test_rolled_back_to_an_older_signed_commit(host: Victim, ann: Author) -> None:
    host.repo.commit("Fixes a hole", motd("fixed"), by=ann)
    host.cycle()
    with host.attacked("history-rewritten"):
        host.repo.git("reset", "--quiet", "--hard", "HEAD~1")


def test_another_repository_in_the_place_of_this_one(host: Victim, ann: Author) -> None:
    with host.attacked("history-rewritten"):
        host.repo.git("checkout", "--quiet", "--orphan", "other")
        host.repo.commit("Another beginning", EVIL, by=ann)
        host.repo.git("branch", "--force", "main", "other")


def test_rewritten_history_after_the_mirror_was_lost(host: Victim, ann: Author) -> None:
    """What was trusted is not here any more, so nothing can descend from it; the host has nothing to go on with."""
    host.repo.git("checkout", "--quiet", "--orphan", "other")
    host.repo.commit("Another beginning", EVIL, by=ann)
    host.repo.git("branch", "--force", "main", "other")
    host.parts.mirror.close()
    shutil.rmtree(host.parts.paths.mirror)
    trust, seen = host.parts.memory.trust(), [*host.engine.planned]
    for _ in range(2):
        assert host.cycle().problems[0].kind == "history-rewritten"
        assert (host.parts.memory.trust(), host.engine.planned) == (trust, seen)


def test_a_shallow_remote(host: Victim, tmp_path: Path, ann: Author) -> None:
    """One whose history is cut off before the commit trusted last."""
    host.repo.commit("Second", by=ann)
    host.repo.commit("Third", EVIL, by=ann)
    with host.attacked("bad-objects"):
        host.repo.git("clone", "--quiet", "--depth=1", f"file://{host.repo.path}", f"{tmp_path}/shallow")
        host.repo.path.rename(tmp_path / "whole")
        (tmp_path / "shallow").rename(host.repo.path)


def test_a_replaced_object(host: Victim, ann: Author) -> None:
    """refs/replace of the remote would show a signed commit with another tree."""
    good = host.repo.commit("Good", motd("good"), by=ann)
    host.repo.commit("Evil", EVIL)
    host.repo.git("replace", good, host.repo.head)
    host.repo.git("update-ref", "refs/heads/main", good)
    assert host.cycle().commits.trusted == good
    assert b"good" in host.parts.mirror.tree(good).read(SITE)


def test_a_graft(host: Victim, ann: Author) -> None:
    """info/grafts of the remote would hang a foreign history onto the trusted one."""
    repo, last = host.repo, host.repo.head
    with host.attacked("history-rewritten"):
        repo.git("checkout", "--quiet", "--orphan", "other")
        foreign = repo.commit("Another beginning", EVIL, by=ann)
        repo.git("branch", "--force", "main", "other")
        (repo.path / ".git/info/grafts").write_text(f"{foreign} {last}\n")
