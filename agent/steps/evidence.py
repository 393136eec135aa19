"""evidence: finds what else happened on this host while something on it was changed by hand. It is evidence, not proof.

The daemon writes down what it saw change, and between which moments (``trace.rest``). If a plan then finds drift,
the event shows the lines of that time from the package manager's log and from the journal (sudo, su, logins). They stay
on the host, in the events: a command line may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from agent.deploys.at_path import owner_names
from agent.domain.account import Account
from agent.domain.plan import Cause
from agent.domain.text import SECOND, moment, printable
from agent.host.paths import Paths
from agent.system.process import run
from agent.trace.rest import Suspicion, read_suspicion

LINES_MOST = 10
"""Lines of each source: its last ones."""

WIDTH = 200
"""Characters of a line."""

BEFORE_S = 2
"""Seconds to look further back: logs have whole seconds, and name a program before it does its work."""

JOURNAL_TIMEOUT_S = 20.0

_LOGS = (Path("/var/log/dpkg.log"), Path("/var/log/dnf.rpm.log"), Path("/var/log/pacman.log"))
_PROGRAMS = ("sudo", "su", "sshd", "sshd-session", "login", "systemd-logind")
_TAIL = 256 * 1024
"""Bytes at the end of a log that are looked through."""


def evidence_of(account: Account, paths: Paths) -> tuple[str, ...]:
    """Return the lines if a plan of this cycle found drift, else none. The suspicion is deleted either way."""
    suspicion = read_suspicion(paths.suspicion)
    paths.suspicion.unlink(missing_ok=True)
    drifted = any(change.cause is Cause.DRIFT for planned in account.planned for change in planned.changes)
    return evidence(suspicion) if suspicion is not None and drifted else ()


def evidence(suspicion: Suspicion, logs: Sequence[Path] = _LOGS) -> tuple[str, ...]:
    """Return the lines, each printable and bounded; none where nothing is known."""
    since, until = suspicion.since - BEFORE_S, suspicion.at
    told = [
        *(_seen(*change) for change in suspicion.changes),
        *(line for log in logs for line in _logged(log, since, until)),
        *_journal(since, until),
    ]
    return tuple(printable(line, WIDTH) for line in told)


def _seen(subject: str, answer: str) -> str:
    """The line for a path: when it and its content were changed, and who owns it now. ``answer``: that of a question
    about it (``trace.answers``)."""
    fields = answer.split(" ")
    if answer == "-":
        return f"{subject}: gone"
    with suppress(ValueError, IndexError, OverflowError):
        changed, written, _, _, _, uid, gid = (int(field, 8 if at == 4 else 10) for at, field in enumerate(fields[:7]))
        when = f"changed {moment(changed // 10**9, SECOND)}, content of {moment(written // 10**9, SECOND)}"
        return f"{subject}: {when}, belongs to {owner_names(uid, gid)}"
    return f"{subject}: is another way"


def _logged(log: Path, since: float, until: float) -> list[str]:
    """The last lines of a package manager's log between two moments, in seconds since the epoch. The log has local
    times, to the second."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read(_TAIL).decode(errors="replace").splitlines()
    except OSError:
        return []
    found = [line for line in lines if (at := _moment(line)) is not None and since <= at <= until]
    return [f"{log.name}: {line}" for line in found[-LINES_MOST:]]


def _moment(line: str) -> float | None:
    for text in (line[:24], line[1:25], line[:19]):
        with suppress(ValueError):
            return datetime.fromisoformat(text).timestamp()
    return None


def _journal(since: float, until: float) -> Iterator[str]:
    matches = [match for program in _PROGRAMS for match in ("+", f"_COMM={program}")][1:]
    argv = ["journalctl", f"--since=@{int(since)}", f"--until=@{int(until) + 1}", f"--lines={LINES_MOST}"]
    with suppress(OSError):
        done = run([*argv, "--no-pager", "--quiet", "--output=short", *matches], timeout_s=JOURNAL_TIMEOUT_S)
        yield from (f"journal: {line}" for line in done.output.decode(errors="replace").splitlines()[-LINES_MOST:])
