"""Questions about a host. A look at the host asks some; as long as all answers stay the same, it finds the same."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class QuestionKind(StrEnum):
    """The kinds of questions; ``agent.trace.answers`` answers them."""

    PATH = "path"
    """The thing at an absolute path: identity, type, mode, owner, size, mtime and ctime; for a link also its target.
    For a folder these cover the names in it. The thing that a link leads to is another question."""
    FOLDER = "folder"
    """Identity, type, mode, owner and ACLs of a folder, or the target of a link; not the names in the folder."""
    VALUE = "value"
    """The content of a small file whose times do not change with it, such as one in /proc/sys."""
    UNIT = "unit"
    """The state of a unit, as systemd tells it. All units are asked for at once."""
    FAILED_UNITS = "failed-units"
    """The names of all units that have failed. The subject is empty."""
    PAST = "past"
    """True once a moment, in seconds since the epoch, is past."""


class Question(NamedTuple):
    """One question: the subject is a path, a unit's name, or a moment."""

    kind: QuestionKind
    subject: str = ""


class UnsignedError(Exception):
    """A look rests on something that no question covers, for the reason given. Only another look can tell whether
    anything has changed."""


class UnsteadyError(Exception):
    """A look rests on something that may change at any moment, for the reason given. The host has to be looked at again
    soon."""
