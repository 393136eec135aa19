"""fetch: turns the remote into the newest ``Commit`` of the branch that this host follows. Nobody has judged it yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from agent.domain.commit import Accepts, Commit
from agent.domain.memory import TrustRecord
from agent.system.mirror import Mirror

TAGS_LIMIT: Final = 50
"""Tags of one range that the agent looks at, the newest first; more are not a release but an attack."""


class Followed(Protocol):
    """The part of a host's settings that says what it follows."""

    @property
    def remote(self) -> str: ...

    @property
    def branch(self) -> str: ...

    @property
    def inventory(self) -> str: ...

    @property
    def min_commit(self) -> str | None: ...


def fetch(mirror: Mirror, settings: Followed, record: TrustRecord, accepts: Accepts) -> Commit:
    """Return the newest commit of the branch. When nothing is new, the agent asks the remote one cheap question.

    If fleet.yaml accepts tags, the commit has those that the remote offers and that count. The mirror then holds the
    tags between the last trusted commit and the new one, at most ``TAGS_LIMIT``.

    ``record``: what was trusted last. Raises SourceError; SettingsError when remote or branch cannot be one.
    """
    mirror.follow(settings.remote, settings.branch)
    since = record.last or settings.min_commit
    accept = accepts(since)
    commit = mirror.fetch(settings.remote, settings.branch, tags=bool(accept.tags))
    later = accepts(since)
    if since is None or not later.tags or not mirror.descends(commit.sha, since):
        return commit
    if not accept.tags:  # only now is ``since`` here, and its fleet.yaml accepts tags
        commit = mirror.fetch(settings.remote, settings.branch, tags=True)
    offered = tuple(tag for tag in commit.tags if later.takes(tag.name))
    line = {sha: place for place, sha in enumerate(mirror.first_parent_range(since, commit.sha))} if offered else {}
    near = sorted((tag for tag in offered if tag.commit in line), key=lambda tag: line[tag.commit], reverse=True)
    near = near[:TAGS_LIMIT]
    mirror.bring([*near, *(tag for tag in offered if tag.object == record.tag_object)])
    return replace(commit, tags=(*near, *(tag for tag in offered if tag.commit not in line)))
