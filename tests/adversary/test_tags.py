"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: where only tags are accepted.
"""

from __future__ import annotations

import pytest

from tests.adversary.victim import EVIL, FLEET, SIGNERS, Victim, motd
from tests.gitserver import Author
from tests.steps.test_verify_tags import forge

TAGS: dict[str, str | bytes | None] = {FLEET: 'trust: {accept: [{tags: "v*"}]}\n'}


@pytest.fixture
def tagged(host: Victim, ann: Author) -> Victim:
    """Takes nothing but tags, and rests on v1."""
    host.repo.commit("Only tags", TAGS, by=ann)
    host.cycle()
    host.repo.commit("Released", motd("released"))
    host.repo.tag("v1", by=ann)
    report = host.cycle()
    assert (report.problems, report.commits.tag, report.commits.signer) == ((), "v1", "ann@example.org")
    assert host.engine.applied[-1] == host.repo.head
    return host


def test_a_tag_moved_to_a_newer_commit(tagged: Victim, ann: Author) -> None:
    with tagged.attacked("tag-moved"):
        tagged.repo.commit("Evil", EVIL)
        tagged.repo.tag("v1", by=ann, force=True)


def test_a_tag_moved_back(tagged: Victim, ann: Author) -> None:
    with tagged.attacked("tag-moved"):
        tagged.repo.tag("v1", "HEAD~1", by=ann, force=True)


def test_an_unsigned_tag(tagged: Victim) -> None:
    with tagged.attacked("unsigned"):
        tagged.repo.commit("Evil", EVIL)
        tagged.repo.tag("v2")


def test_a_lightweight_tag(tagged: Victim) -> None:
    with tagged.attacked("unsigned"):
        tagged.repo.commit("Evil", EVIL)
        tagged.repo.git("tag", "v2")


def test_a_tag_by_a_wrong_signer(tagged: Victim, eve: Author) -> None:
    with tagged.attacked("wrong-signer"):
        tagged.repo.commit("Evil", EVIL | {SIGNERS: f"{eve.line}\n"})
        tagged.repo.tag("v2", by=eve)


def test_a_signed_tag_under_another_name(tagged: Victim, ann: Author) -> None:
    with tagged.attacked("bad-tag"):
        tagged.repo.commit("For the laboratory", EVIL)
        tagged.repo.git("update-ref", "refs/tags/v2", tagged.repo.tag("lab-1", by=ann))


def test_a_forged_tag(tagged: Victim, ann: Author) -> None:
    with tagged.attacked("bad-signature"):
        text = tagged.repo.git("cat-file", "tag", "v1")
        head = tagged.repo.commit("Evil", EVIL)
        forge(tagged.repo, "v2", text.replace(tagged.last or "", head).replace("tag v1", "tag v2"))


def test_a_signed_commit_without_a_tag(tagged: Victim, ann: Author) -> None:
    """No attack by itself; but it is not released, and stays outside."""
    tagged.repo.commit("Not released", EVIL, by=ann)
    before = [*tagged.engine.applied]
    assert tagged.cycle().problems == ()
    assert tagged.engine.applied == before


def test_a_lost_state_does_not_let_commits_in(tagged: Victim, ann: Author) -> None:
    """What is accepted is read from the commit trusted last, not from what a crash may take away."""
    tagged.parts.paths.document("state").unlink()
    head = tagged.repo.commit("Not released", EVIL, by=ann)
    tagged.cycle()
    assert tagged.last != head
