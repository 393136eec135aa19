"""Questions about a host. While each that a look asked has the same answer, the look finds the same."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class QuestionKind(StrEnum):
    """What a question asks; ``agent.trace.answers`` has the answers."""

    PATH = "path"
    """One thing at an absolute path: identity, type, mode, owner, size, mtime and ctime; of a link also its target. For
    a folder this covers the names in it. What lies behind a link is another question."""
    FOLDER = "folder"
    """Identity, type, mode, owner and ACLs of a folder, or the target of a link. Things that come and go in the folder
    do not count."""
    VALUE = "value"
    """The content of a small file whose times say nothing, such as those in /proc/sys."""
    UNIT = "unit"
    """What systemd says of a unit. All units are asked for at once."""
    FAILED_UNITS = "failed-units"
    """The names of all units that have failed. No subject."""
    PAST = "past"
    """Whether a moment is past: seconds since the epoch."""


class Question(NamedTuple):
    """One question: the subject is a path, a unit's name, or a moment."""

    kind: QuestionKind
    subject: str = ""


class UnsignedError(Exception):
    """A look rests on what no question covers, for the reason given: only another look tells whether it finds the
    same."""


class UnsteadyError(Exception):
    """A look rests on what may be another way at any moment, for the reason given: somebody has to look again soon."""
