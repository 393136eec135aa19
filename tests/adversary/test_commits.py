"""Attacks by whoever can push to the config repo or speaks for the Git server, one test each: through whole cycles,
each changes nothing on the host and is reported. Eve can push; Ann (an anchor) and Bob can sign.

Here: commits that are not what git makes of them.
"""

from __future__ import annotations

import os

import pytest

from tests.adversary.victim import EVIL, Victim
from tests.gitserver import Author, ConfigRepo


def signed(repo: ConfigRepo, by: Author) -> str:
    """A signed commit of the evil site, as text."""
    repo.commit("Evil", EVIL, by=by)
    return repo.git("cat-file", "commit", "HEAD") + "\n"


def push(repo: ConfigRepo, raw: bytes) -> None:
    """``main`` at a commit of these bytes, whatever git thinks of them."""
    path = repo.path.parent / "forged"
    path.write_bytes(raw)
    sha = repo.git("hash-object", "-w", "-t", "commit", "--literally", f"{path}")
    (repo.path / ".git/refs/heads/main").write_text(f"{sha}\n")


def unsigned_text(host: Victim) -> str:
    host.repo.commit("Evil", EVIL)
    return host.repo.git("cat-file", "commit", "HEAD") + "\n"


def signature(text: str) -> str:
    start = text.index("gpgsig ")
    return text[start : text.index(" -----END SSH SIGNATURE-----\n") + len(" -----END SSH SIGNATURE-----\n")]


def test_a_signature_taken_from_another_commit(host: Victim, ann: Author) -> None:
    with host.attacked("bad-signature"):
        good = signature(signed(host.repo, ann))
        host.repo.git("reset", "--quiet", "--hard", "HEAD~1")
        push(host.repo, unsigned_text(host).replace("\n\n", f"\n{good}\n", 1).encode())


def test_two_signatures(host: Victim, ann: Author, eve: Author) -> None:
    with host.attacked("bad-signature"):
        by_ann = signature(signed(host.repo, ann))
        host.repo.git("reset", "--quiet", "--hard", "HEAD~1")
        push(host.repo, signed(host.repo, eve).replace("gpgsig ", f"{by_ann}gpgsig ", 1).encode())


def test_a_signature_for_sha256_alone(host: Victim, ann: Author) -> None:
    with host.attacked("unsigned"):
        push(host.repo, signed(host.repo, ann).replace("gpgsig ", "gpgsig-sha256 ", 1).encode())


def test_a_signature_in_a_merged_tag_alone(host: Victim, ann: Author) -> None:
    repo = host.repo
    with host.attacked("unsigned"):
        repo.git("checkout", "--quiet", "-b", "side")
        repo.commit("Side", EVIL)
        repo.tag("side-1", by=ann)
        repo.git("checkout", "--quiet", "main")
        repo.merge("side-1")
        assert "mergetag object" in repo.git("cat-file", "commit", "HEAD")


def test_a_signature_in_the_message(host: Victim, ann: Author) -> None:
    with host.attacked("unsigned"):
        text = signed(host.repo, ann)
        host.repo.git("reset", "--quiet", "--hard", "HEAD~1")
        host.repo.commit(f"Evil\n\n{signature(text)}", EVIL)


@pytest.mark.parametrize("name", ["tree", "parent", "author", "committer"])
def test_a_header_that_stands_twice(host: Victim, ann: Author, name: str) -> None:
    """git's own check of what it fetches refuses it, or the signature does not cover it."""
    head = host.repo.head
    trust, applied = host.parts.memory.trust(), set(host.engine.applied)
    text = signed(host.repo, ann)
    line = next(line for line in text.split("\n") if line.startswith(f"{name} "))
    push(host.repo, text.replace(line, f"{line}\n{line}", 1).encode())
    problem = host.cycle().problems[0]
    assert problem.kind in ("bad-signature", "bad-objects")
    assert (host.parts.memory.trust(), set(host.engine.applied), host.last) == (trust, applied, head)


def test_words_behind_a_nul_of_the_message(host: Victim, ann: Author) -> None:
    """C programs stop reading there; git's own check of what it fetches refuses it."""
    with host.attacked("bad-objects"):
        push(host.repo, signed(host.repo, ann).encode().replace(b"Evil\n", b"Evil\n\0and more\n"))


def test_a_commit_of_a_far_year(host: Victim, ann: Author, eve: Author) -> None:
    """Its date counts for nothing: whoever may sign is trusted, whoever may not is refused."""
    good = host.repo.commit("From 2099", by=ann, date="2099-01-01T00:00:00Z")
    assert host.cycle().commits.trusted == good
    with host.attacked("wrong-signer"):
        host.repo.commit("Evil", EVIL, by=eve, date="1970-01-02T00:00:00Z")


def test_a_commit_that_is_too_large(host: Victim, ann: Author) -> None:
    with host.attacked("bad-objects"):
        text = signed(host.repo, ann).encode()
        push(host.repo, text + b"x" * (5 * 1024 * 1024))


def test_garbage_pushed_and_taken_back_again_and_again_takes_no_room(host: Victim, ann: Author) -> None:
    def size() -> int:
        return sum(file.lstat().st_size for file in host.parts.paths.var.rglob("*") if "git" in f"{file}")

    good, before = host.repo.head, size()
    for _ in range(3):
        with host.attacked("unsigned"):
            host.repo.commit("Garbage", {"garbage": os.urandom(2**20)})
        host.repo.git("reset", "--quiet", "--hard", good)
    assert host.cycle().problems == ()
    assert size() < before + 50_000
    head = host.repo.commit("Second", by=ann)
    assert host.cycle().commits.trusted == head
