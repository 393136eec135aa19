"""Git with the settings of the person at a desk, to sign, commit and push the files that a command wrote.

Everywhere else git runs without anybody's configuration (``git_command``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent.domain.text import some
from agent.errors import SettingsError
from agent.system.process import run

TIMEOUT_S: Final = 300.0
"""Seconds for one run of git; a push may wait for a touch on a hardware key."""


def setting(name: str) -> str:
    """The value of a setting of this person's Git; empty if it is not set."""
    try:
        return _git(Path("/"), "config", "--get", name)
    except SettingsError:
        return ""


def begin(folder: Path) -> None:
    """Make a repository in ``folder``. Raises SettingsError."""
    _git(folder, "init", "--quiet", "--initial-branch=main")


def stage(folder: Path, *paths: str) -> None:
    """Add files to the next commit. Raises SettingsError."""
    _git(folder, "add", "--", *paths)


def require_pushed(folder: Path) -> str:
    """The name of the branch that is checked out, after a fetch. Raises SettingsError unless origin has the same
    commits on it: a push would take other commits along, or be refused."""
    try:
        branch = _git(folder, "symbolic-ref", "--short", "HEAD")
    except SettingsError as error:
        raise SettingsError("no branch is checked out that could be pushed", hint="git switch BRANCH") from error
    try:
        _git(folder, "fetch", "--quiet", "origin", f"+refs/heads/{branch}:refs/remotes/origin/{branch}")
    except SettingsError as error:
        raise SettingsError(
            f"origin does not tell its branch {branch}: {error.message}", hint=f"git push -u origin {branch}"
        ) from error
    theirs = f"refs/remotes/origin/{branch}"
    for side, what, remedy in (
        (f"{theirs}..HEAD", f"origin/{branch} does not have", "push them, or move them to another branch"),
        (f"HEAD..{theirs}", f"origin/{branch} has beside those here", "git pull"),
    ):
        if commits := _git(folder, "log", "--format=%h %s", side).splitlines():
            told = f"there are commits that {what}: {some(commits)}"
            raise SettingsError(told, hint=f"{remedy}, then run this again")
    return branch


def ever_committed(folder: Path, path: str) -> bool | None:
    """True if a commit of any branch here has, or had, the file ``path``; None if that cannot be told, because the
    clone does not have the whole history. Raises SettingsError."""
    if _git(folder, "log", "--all", "--full-history", "--max-count=1", "--format=%h", "--", f":(top,literal){path}"):
        return True
    return None if _git(folder, "rev-parse", "--is-shallow-repository") == "true" else False


def commit_and_push(folder: Path, subject: str, *paths: str) -> str:
    """Commit these files alone, signed as this person's Git signs, and push that commit alone to the branch of origin.
    Return its name. Raises SettingsError: like ``require_pushed`` before the commit, else after it, if the push
    fails."""
    branch = require_pushed(folder)
    stage(folder, *paths)
    _git(folder, "commit", "--quiet", "-m", subject, "--", *paths)
    sha = _git(folder, "rev-parse", "HEAD")
    _git(folder, "push", "--quiet", "origin", f"{sha}:refs/heads/{branch}")
    return sha


def _git(folder: Path, *arguments: str) -> str:
    argv = ["git", *arguments]
    try:
        done = run(argv, timeout_s=TIMEOUT_S, env=dict(os.environ), cwd=folder.resolve())
    except FileNotFoundError as error:
        raise SettingsError("git cannot be started", hint="install git") from error
    if not done.ok:
        raise SettingsError(f"git {arguments[0]}: {done.complaint}", hint=f"does it work in {folder}?")
    return done.output.decode(errors="replace").strip()
