"""The process of git, run by GitPython, that reads any number of objects of a repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # without git, the import must not fail: ``git_missing`` says so

from git import Git


class Session(Git):
    """GitPython's Git, but with ``variables`` as the whole environment. GitPython passes on that of this process: a
    cycle that a hook of some repository starts would then work in that repository."""

    variables: Mapping[str, str]

    @classmethod
    def of(cls, repository: Path, variables: Mapping[str, str]) -> Session:
        """A session with the bare ``repository``; git starts with the first question."""
        session = cls("/")
        session.variables = variables
        session.set_persistent_git_options(git_dir=f"{repository}")
        return session

    def execute(self, command: Any, *arguments: Any, **options: Any) -> Any:
        variables = (f"{name}={value}" for name, value in self.variables.items())
        return super().execute(["env", "-i", *variables, *command], *arguments, **options)
