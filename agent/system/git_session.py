"""GitPython: one process of git that reads the objects of a repository, asked again and again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # without git, importing must not fail: we say so ourselves

from git import Git


class Session(Git):
    """GitPython hands git the environment of this process. Ours gets ``variables`` alone: a cycle started from a hook
    of the very repository would otherwise work in that one."""

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
