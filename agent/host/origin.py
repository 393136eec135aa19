"""The host's own remote, made from a clone: the root-owned, bare repository /var/lib/hostwright/origin.git.

The clone belongs to a person, the remote to root. Only commits travel, by git's own transport; nothing of the
clone's configuration is taken over.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

from agent.errors import SettingsError, SourceError
from agent.system.files import discard, fsync_folder
from agent.system.git_command import git
from agent.system.git_incoming import TIP
from agent.system.git_objects import ObjectStore
from agent.system.mirror import Mirror
from agent.system.misplaced import begun_afresh, misplaced_folder, set_aside
from agent.system.process import Completed
from agent.system.remote import checked_branch
from agent.system.working_copy import working_copy

FETCH_TIMEOUT_S = 600.0
"""The time for a large repository on a slow disk; a config repo takes far less than a second."""


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone in its present state. ``tip``: the commit of ``branch``. ``uncommitted``: the number of files with
    changes that are in no commit, so that the host will not get them."""

    folder: Path
    branch: str
    tip: str
    uncommitted: int


def inspect(folder: Path, branch: str | None = None) -> Clone:
    """The clone in ``folder``, with ``branch``, or with the branch that is checked out. Raises SourceError, and
    SettingsError for a malformed name of a branch."""
    copy = working_copy(folder)
    if copy is None:
        raise SourceError(f"{folder} is not a Git clone", hint="git clone the repository, or name it with --repo URL")
    checkout = copy.checkout
    if branch is None:
        branch = checkout.ask("symbolic-ref", "--quiet", "--short", "HEAD")
        if not branch:
            raise SourceError(f"{folder} has no branch checked out", hint="name the branch with --branch")
    checked_branch(branch)
    tip = checkout.commit(f"refs/heads/{branch}")
    if tip is None:
        raise SourceError(f"{folder} has no commit on the branch {branch}", hint="commit, or name another --branch")
    if checkout.ask("rev-parse", "--is-shallow-repository") == "true":
        hint = f"git -C {quote(f'{folder}')} fetch --unshallow, then run this again"
        raise SourceError(f"{folder} is a shallow clone", hint=hint)
    return Clone(folder, branch, tip, len(copy.uncommitted) + len(copy.untracked))


def take_up(clone: Clone, origin: Path) -> bool:
    """Bring ``origin`` up to the clone's branch, and make it if there is none. Return True if it had to change.

    Raises SettingsError if the two have diverged (``origin`` stays as it is), SourceError if git cannot copy.
    """
    with TemporaryDirectory(prefix="hostwright-") as scratch:
        trust = _trust_in(clone.folder, Path(scratch))
        if origin.is_dir():
            return _fast_forward(trust, clone, origin)
        new = origin.with_name(f"{origin.name}.new")
        fetched = _copy(trust, clone.folder, f"refs/heads/{clone.branch}", clone.branch, new)
        if not fetched.ok:
            raise _not_copied(clone, fetched)
    new.rename(origin)
    fsync_folder(origin.parent)
    return True


def mend(origin: Path, mirror: Mirror, branch: str) -> SettingsError | None:
    """Make the host's own remote again from the host's mirror of it, if it is gone, is no repository, or the files of
    its branch cannot be read. What is left of it is set aside. A branch that somebody deleted is no damage.

    Return the problem to report; None if nothing was done, also because there is no mirror. Raises OSError.
    """
    wrong = _damage(origin, branch)
    tip = ObjectStore(mirror.path).ref(TIP) if wrong else None
    if tip is None:
        return None
    new = origin.with_name(f"{origin.name}.new")
    if not _copy({}, mirror.path, TIP, branch, new).ok:
        return None
    if os.path.lexists(origin):
        set_aside(origin)
    new.rename(origin)
    fsync_folder(origin.parent)
    return begun_afresh(
        origin,
        wrong,
        f"it was made again from this host's copy, at commit {tip[:12]} of {branch}: push again what is newer",
    )


def _damage(origin: Path, branch: str) -> str:
    """The damage of ``origin``, in words; empty where it can be read."""
    if wrong := misplaced_folder(origin):
        return f"is {wrong}"
    if not origin.exists():
        return "is gone"
    ref = f"refs/heads/{branch}"
    listed = git("for-each-ref", "--format=%(refname)", ref, repository=origin)
    if not listed.ok:
        return "is no repository that git can read"
    there = ref in _text(listed).splitlines()
    readable = git("cat-file", "-e", f"{ref}^{{tree}}", repository=origin).ok
    return f"does not hold the files of its branch {branch}" if there and not readable else ""


def _copy(trust: Mapping[str, str], source: Path, ref: str, branch: str, new: Path) -> Completed:
    """Make the bare repository ``new`` with ``ref`` of ``source`` as its ``branch``. Return the result of git; if it
    failed, nothing is at ``new``."""
    discard(new)
    done = git("init", "--quiet", "--bare", f"--initial-branch={branch}", f"{new}")
    if done.ok:
        done = _fetch(trust, source, f"{ref}:refs/heads/{branch}", new)
    if not done.ok:
        discard(new)
    return done


def _fast_forward(trust: Mapping[str, str], clone: Clone, origin: Path) -> bool:
    ref = f"refs/heads/{clone.branch}"
    before = _text(git("rev-parse", "--verify", "--quiet", ref, repository=origin))
    if before and git("merge-base", "--is-ancestor", clone.tip, before, repository=origin).ok:
        return False
    fetched = _fetch(trust, clone.folder, f"{ref}:{ref}", origin)
    if not fetched.ok and b"non-fast-forward" in fetched.error:
        raise SettingsError(
            f"{clone.folder} and {origin} have gone different ways on {clone.branch}",
            hint=f"git pull --rebase {origin} {clone.branch}, then run this again",
        )
    if not fetched.ok:
        raise _not_copied(clone, fetched)
    return True


def _not_copied(clone: Clone, failed: Completed) -> SourceError:
    return SourceError(f"{clone.folder} cannot be copied: {failed.complaint}", hint="does `git fsck` pass there?")


def _fetch(trust: Mapping[str, str], source: Path, refspec: str, into: Path) -> Completed:
    command = ("fetch", "--no-tags", "--no-write-fetch-head", f"{source}", refspec)
    return git(*command, repository=into, variables=trust, timeout_s=FETCH_TIMEOUT_S)


def _trust_in(clone: Path, scratch: Path) -> Mapping[str, str]:
    """The variables that let git read a clone that belongs to somebody else. They name a configuration file in
    ``scratch``, which allows it for this one clone: a setting on the command line does not reach the other end of a
    fetch."""
    configuration = scratch / "gitconfig"
    for path in (clone, clone / ".git"):
        git("config", "--file", f"{configuration}", "--add", "safe.directory", f"{path}")
    return {"GIT_CONFIG_GLOBAL": f"{configuration}"}


def _text(completed: Completed) -> str:
    return completed.output.decode(errors="replace").strip() if completed.ok else ""
