"""Conversations with a remote: list its branches and tags, and fetch their commits into a bare repository."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.commit import Tag
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system.git_command import Access, bounded_fetch, converse, git
from agent.system.git_failure import failure
from agent.system.process import Completed
from agent.system.remote import Remote, can_be_a_branch

REFS_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a remote's list of refs: half a million tags."""
FETCH_MOST: Final = 1024 * 1024 * 1024
"""Bytes that one fetch may write before anybody has judged them. It may never take more than half of the free ones."""
HISTORY_MOST: Final = 64 * 1024 * 1024
"""Bytes that one fetch of other branches may write: some 200,000 commits without their files."""
_HEADS: Final = "refs/heads/"
_TAGS: Final = "refs/tags/"
_SHA1: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Offer:
    """The refs of a remote: the commit ``tip`` of the branch that was asked for, the commits of the other branches by
    name, and the tags. Names that are invalid in git are left out. ``listed``: git's answer as it came."""

    tip: str
    others: Mapping[str, str]
    tags: tuple[Tag, ...]
    listed: bytes


def offer(remote: Remote, branch: str, access: Access, *, tags: bool = False) -> Offer:
    """The branches of ``remote``, and with ``tags`` its tags, by one ls-remote. Raises SourceError."""
    done = converse(remote, access, *listing(remote, tags=tags), output_limit=REFS_LIMIT, often=True)
    refs = _listed(done, remote, access)
    offered = (
        Tag(ref.removeprefix(_TAGS), sha, refs.get(f"{ref}^{{}}", sha))
        for ref, sha in refs.items()
        if ref.startswith(_TAGS) and can_be_a_branch(ref.removeprefix(_TAGS))
    )
    heads = {ref.removeprefix(_HEADS): sha for ref, sha in refs.items() if ref.startswith(_HEADS)}
    return Offer(
        _tip(refs, remote, branch),
        {name: sha for name, sha in heads.items() if name != branch and can_be_a_branch(name) and _SHA1.fullmatch(sha)},
        tuple(tag for tag in offered if _SHA1.fullmatch(tag.object) and _SHA1.fullmatch(tag.commit)),
        done.output,
    )


def listing(remote: Remote, *, tags: bool) -> tuple[str, ...]:
    """The arguments with which git lists a remote's branches, and with ``tags`` its tags."""
    return ("ls-remote", "--heads", *["--tags"] * tags, "--", remote.url)


def look_up(remote: Remote, ref: str, access: Access) -> tuple[str, str]:
    """The whole name of the branch or tag ``ref``, or of HEAD if that is empty, and the commit that it is at. Raises
    SourceError, also if both a branch and a tag have the name."""
    names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"] if ref else ["HEAD"]
    found = _refs(remote, access, *names, *(f"{name}^{{}}" for name in names))
    there = [name for name in names if name in found]
    if len(there) == 1:
        name = there[0]
        return name, _supported(found.get(f"{name}^{{}}", found[name]), remote)
    if there:
        message, hint = f"{remote} has a branch and a tag called {ref}", f"write refs/heads/{ref} or refs/tags/{ref}"
    else:
        message, hint = f"{remote} has no branch or tag {ref}" if ref else f"{remote} is empty", "check its spelling"
    raise SourceError(message, kind=ProblemKind.REF_MISSING, hint=hint, consequence=Consequence.STALL)


def fetch_commit(repository: Path, remote: Remote, sha: str, ref: str, access: Access) -> bool:
    """Fetch the commit ``sha`` without its history to ``ref`` of the bare ``repository``. Return False if the server
    does not give a commit that none of its refs is at. Raises SourceError if it fails otherwise."""
    done = _fetch(repository, remote, access, f"{sha}:{ref}", options=("--depth=1",))
    if done.ok:
        return True
    if re.search(rb"not our ref|unadvertised object|remote error|no such remote ref|find remote ref", done.error):
        return False
    raise failure(done, remote, access)


def fetch(repository: Path, remote: Remote, source: str, ref: str, access: Access) -> None:
    """Fetch the commit that the remote's ref ``source`` is at, with its whole history, to ``ref`` of the bare
    ``repository``. Raises SourceError."""
    done = _fetch(repository, remote, access, f"+{source}:{ref}")
    if b"shallow roots are not allowed" in done.error:  # git says so, leaves the ref as it was, and ends well
        raise SourceError(
            f"the history of {remote} is cut off: it is a shallow clone",
            kind=ProblemKind.BAD_OBJECTS,
            hint="run `git fetch --unshallow` in that repository",
            consequence=Consequence.STALL,
        )
    if not done.ok:
        raise failure(done, remote, access)


def fetch_commits(repository: Path, remote: Remote, branches: Sequence[str], ref: str, access: Access) -> bool:
    """Fetch ``branches`` to refs below ``ref`` of the bare ``repository``, their commits without files if the server
    can leave these out. Return True if that succeeded. Raises SourceError for more than HISTORY_MOST bytes."""
    refspecs = (f"+{_HEADS}{name}:{ref}/{name}" for name in branches)
    return _fetch(repository, remote, access, *refspecs, options=("--filter=tree:0",), most=HISTORY_MOST).ok


def fetch_tags(repository: Path, remote: Remote, names: Sequence[str], access: Access) -> None:
    """Fetch the objects of tags into the bare ``repository``, without refs. If the remote no longer has one of the
    tags, none is fetched this time. Raises like ``fetch``."""
    done = _fetch(repository, remote, access, *(f"{_TAGS}{name}" for name in names))
    if not done.ok and b"find remote ref" not in done.error:
        raise failure(done, remote, access)


def require_reachable(remote: Remote, access: Access) -> None:
    """Raise SourceError if the remote cannot be read."""
    _refs(remote, access, "HEAD")


def may_push(repository: Path, remote: Remote, sha: str, access: Access, reader: Access) -> bool:
    """True if the remote would take a push of the commit ``sha`` of ``repository`` to a new branch; nothing is sent.

    A push that fails while ``reader`` can read the remote counts as not allowed, whatever the server's message is.
    Raises SourceError if ``repository`` lacks the commit, or if the remote cannot be read either.
    """
    if not git("cat-file", "-e", f"{sha}^{{commit}}", repository=repository).ok:
        raise SourceError(
            f"{repository} does not hold the commit {sha[:12]}, so nothing was asked",
            kind=ProblemKind.COMMIT_MISSING,
            hint="the next cycle fetches it",
        )
    dry = ("push", "--dry-run", "--quiet", "--no-verify", "--", remote.url, f"{sha}:refs/heads/hostwright-doctor")
    if converse(remote, access, *dry, repository=repository).ok:
        return True
    require_reachable(remote, reader)
    return False


def _refs(remote: Remote, access: Access, *patterns: str) -> dict[str, str]:
    asked = ("ls-remote", "--", remote.url, *patterns)
    return _listed(converse(remote, access, *asked, output_limit=REFS_LIMIT), remote, access)


def _listed(done: Completed, remote: Remote, access: Access) -> dict[str, str]:
    """The objects of the remote's refs, by name; ``name^{}`` is the commit of an annotated tag."""
    if not done.ok:
        raise failure(done, remote, access)
    if done.cut:
        raise SourceError(f"{remote} lists more branches and tags than there is room for", kind=ProblemKind.BAD_ANSWER)
    listed = (line.partition("\t") for line in done.output.decode(errors="replace").splitlines())
    return {name: sha for sha, _, name in listed}


def _tip(refs: Mapping[str, str], remote: Remote, branch: str) -> str:
    sha = refs.get(f"refs/heads/{branch}")
    if sha is not None:
        return _supported(sha, remote)
    raise SourceError(
        f"{remote} has no branch {branch}",
        kind=ProblemKind.BRANCH_MISSING,
        hint="push the branch, or name another one in the settings (`branch`); does something else answer there?",
    )


def _fetch(
    repository: Path,
    remote: Remote,
    access: Access,
    *refspecs: str,
    options: Sequence[str] = (),
    most: int | None = None,
) -> Completed:
    """One ``git fetch`` of ``refspecs``. ``most``: bytes; None means FETCH_MOST. Raises like ``bounded_fetch``."""
    command = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options, "--", remote.url, *refspecs)
    return bounded_fetch(repository, remote, access, *command, most=FETCH_MOST if most is None else most)


def _supported(sha: str, remote: Remote) -> str:
    if _SHA1.fullmatch(sha):
        return sha
    raise SourceError(
        f"{remote} does not name its commits by SHA-1",
        kind=ProblemKind.BAD_OBJECTS,
        hint="repositories of the object format sha256 are not supported",
        consequence=Consequence.STALL,
    )
