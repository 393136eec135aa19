"""Turns the remote into the newest ``Commit`` of the branch that this host follows; nobody has judged it yet."""

from __future__ import annotations

from typing import Protocol

from agent.domain.commit import Commit
from agent.system.git import Mirror


class Followed(Protocol):
    """The part of a host's settings that says what it follows."""

    @property
    def remote(self) -> str: ...

    @property
    def branch(self) -> str: ...


def fetch(mirror: Mirror, settings: Followed) -> Commit:
    """One cheap question when nothing is new. Raises SourceError; SettingsError when remote or branch cannot be one."""
    return mirror.fetch(settings.remote, settings.branch)
