"""The errors of the agent, their exit codes, and their consequences.

HostwrightError
├── UsageError       2  the command line asks for what cannot be
├── SettingsError    3  /etc/hostwright is missing, unreadable or wrong
├── InventoryError   6  the config repo does not say what this host should be
├── TrustError       5  a commit was refused, or an anchor is missing
├── SourceError      4  the config repo cannot be reached or read
├── DeployError      7  a deploy could not be planned or did not end well
├── HealthError      8  a change did the host harm, and what became of that
├── ReportError      9  the status branch did not take the report
└── LockedError     75  another cycle holds the lock

Each class has an exit code and a consequence: RETRY if the agent can succeed later by itself, STALL if a person has to
act. Exit code 10 (the host wants changes) is an answer, not an error. Any other exception is a bug and ends with exit
code 1.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum

from agent.problems import ProblemKind


class Exit(IntEnum):
    """The exit codes of every command; docs/operations.md lists them for users."""

    FINE = 0
    BUG = 1
    USAGE = 2
    SETTINGS = 3
    SOURCE = 4
    TRUST = 5
    INVENTORY = 6
    DEPLOY = 7
    UNHEALTHY = 8
    REPORT = 9
    CHANGES = 10
    LOCKED = 75
    INTERRUPTED = 130


EXIT_PRECEDENCE = (
    Exit.BUG,
    Exit.USAGE,
    Exit.SETTINGS,
    Exit.INVENTORY,
    Exit.TRUST,
    Exit.SOURCE,
    Exit.DEPLOY,
    Exit.UNHEALTHY,
    Exit.REPORT,
    Exit.CHANGES,
)
"""The order in which exit codes take precedence: with several failures, the first of these that applies counts."""


class Consequence(StrEnum):
    """The condition on which the same thing can succeed later: ``RETRY``: that time passes; ``STALL``: that a person
    acts."""

    RETRY = "retry"
    STALL = "stall"


class HostwrightError(Exception):
    """An expected failure. ``message``: what happened, and where. ``hint``: what to do.

    ``kind`` and ``consequence``: those of the class by default. ``lines``: the message in lines, where several things
    happened; a line end within one of them comes from a stranger's text.
    """

    exit: Exit = Exit.BUG
    consequence: Consequence = Consequence.STALL
    default_kind: ProblemKind = ProblemKind.ERROR
    at: int = 0
    """The time at which a cycle noted the error, in seconds since the epoch; 0 before."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        kind: ProblemKind | None = None,
        consequence: Consequence | None = None,
        lines: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.lines = lines or (message,)
        self.hint = hint
        self.kind = kind or self.default_kind
        if consequence is not None:
            self.consequence = consequence

    @property
    def full_text(self) -> str:
        """The message, and the hint in brackets."""
        return "\n".join(self.full_lines)

    @property
    def full_lines(self) -> Sequence[str]:
        *before, last = self.lines
        return (*before, f"{last} ({self.hint})" if self.hint else last)

    def document(self) -> dict[str, object]:
        """The error for programs, in the form that reports and ``--json`` have."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "consequence": self.consequence.value,
            "exit": int(self.exit),
        }

    def details(self) -> Mapping[str, object]:
        """More fields for programs on this host, which the ``document`` does not have."""
        return {}


class UsageError(HostwrightError):
    exit = Exit.USAGE
    default_kind = ProblemKind.USAGE


class SettingsError(HostwrightError):
    exit = Exit.SETTINGS
    default_kind = ProblemKind.SETTINGS


class InventoryError(HostwrightError):
    """One or more mistakes in the config repo. The message has a line for each, with file, line and column."""

    exit = Exit.INVENTORY
    default_kind = ProblemKind.INVENTORY


class TrustError(HostwrightError):
    exit = Exit.TRUST
    default_kind = ProblemKind.UNTRUSTED


class SourceError(HostwrightError):
    exit = Exit.SOURCE
    consequence = Consequence.RETRY
    default_kind = ProblemKind.SOURCE_UNREACHABLE


class DeployError(HostwrightError):
    exit = Exit.DEPLOY
    consequence = Consequence.RETRY
    default_kind = ProblemKind.DEPLOY_FAILED


class HealthError(HostwrightError):
    exit = Exit.UNHEALTHY
    default_kind = ProblemKind.UNHEALTHY


class ReportError(HostwrightError):
    exit = Exit.REPORT
    consequence = Consequence.RETRY
    default_kind = ProblemKind.REPORT_NOT_SENT


class LockedError(HostwrightError):
    exit = Exit.LOCKED
    consequence = Consequence.RETRY
    default_kind = ProblemKind.LOCKED


def host_io_error(error: OSError) -> SettingsError:
    """The error for a disk of this host that is full, read-only or failing."""
    kind, hint = _REFUSALS.get(error.errno or 0, _FAILING)
    return SettingsError(
        f"{error.filename or 'this host'}: {error.strerror or error}",
        kind=kind,
        hint=hint,
        consequence=Consequence.RETRY,
    )


_FAILING = (ProblemKind.HOST_IO, "is the disk failing (`dmesg`)? the next cycle tries again")
_FULL = (ProblemKind.DISK_FULL, "make room (`df -h`, `df -i`); the next cycle goes on by itself")
_REFUSALS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: (
        ProblemKind.DISK_READ_ONLY,
        "file systems become read-only when their disk fails (`dmesg`, `mount -o remount,rw`); as soon as it takes "
        "writes the next cycle goes on by itself",
    ),
}


def first_exit(codes: list[Exit]) -> Exit:
    """The exit code for several causes, by ``EXIT_PRECEDENCE``; FINE for none."""
    return next((code for code in EXIT_PRECEDENCE if code in codes), Exit.FINE)


def together(errors: Sequence[HostwrightError]) -> HostwrightError:
    """One error made of ``errors``, at least one. It has the exit code that takes precedence, and a line for each
    message and hint. A single error is returned unchanged."""
    if len(errors) == 1:
        return errors[0]
    code = first_exit([error.exit for error in errors])
    leading = next(error for error in errors if error.exit is code)
    lines = dict.fromkeys(line for error in errors for line in error.full_lines)
    whole = HostwrightError("\n".join(lines), kind=leading.kind, consequence=leading.consequence, lines=(*lines,))
    whole.exit = code
    return whole
