"""Git as the person at a desk runs it, with that person's own settings: to sign, commit and push what a command wrote.

Everywhere else nothing of anybody's configuration counts (``git_command``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent.errors import SettingsError
from agent.system.process import run

TIMEOUT_S: Final = 300.0
"""A push may wait for a touch on a hardware key."""


def setting(name: str) -> str:
    """A setting of this person's Git; empty where there is none."""
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


def commit_and_push(folder: Path, subject: str, *paths: str) -> str:
    """Commit these files alone, signed as this person's Git signs, and push the branch to origin. Return the commit.
    Raises SettingsError."""
    stage(folder, *paths)
    _git(folder, "commit", "--quiet", "-m", subject, "--", *paths)
    _git(folder, "push", "--quiet", "origin", "HEAD")
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    argv = ["git", *arguments]
    try:
        done = run(argv, timeout_s=TIMEOUT_S, env=dict(os.environ), cwd=folder.resolve())
    except FileNotFoundError as error:
        raise SettingsError("git cannot be started", hint="install git") from error
    if not done.ok:
        raise SettingsError(f"git {arguments[0]}: {done.complaint}", hint=f"does it work in {folder}?")
    return done.output.decode(errors="replace").strip()
