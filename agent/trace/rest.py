"""The two files in /run/hostwright between the cycle and the daemon: the rest, and the suspicion.

Each cycle writes the rest, and the daemon follows it until the next cycle. Its first line is a JSON object, its other
lines are a trace (``answers``). It lies in memory: after a boot, and after a start of the daemon, a cycle comes first
anyway. Without it, or where it cannot be read, the host is not at rest.

The daemon writes the suspicion: the changes for which it started a cycle. ``steps.evidence`` reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

DEFAULTS: Mapping[str, int] = {"fetch_s": 60, "drift_s": 60, "plan_s": 1800}
"""The defaults of ``schedule:`` in seconds."""

ASK_LONGEST_S = 24 * 3600
"""The most seconds after which a command of a ``Rest`` may be given up."""

ANSWER_MOST = 1024 * 1024
"""The most bytes of an answer that can be compared; a longer one is never the same."""

CHANGES_MOST = 20
"""The most changes of a suspicion that are kept: the first ones are enough to find who changes a thousand files."""

_REPORTS = (b"refs/heads/status", b"refs/heads/status-")
"""The branch that hosts report to, and the prefix of such branches with a number: they change all the time."""

PASSED = b"all checks pass\n"
"""The output of the command of a ``Rest.checks_command`` where all checks pass."""

TimedCommand = tuple[list[str], dict[str, str], int]
"""Arguments, environment, and the seconds after which the command is given up."""


class Rest:
    """The rest of a host between two cycles. ``until``: seconds since the epoch; before that a cycle would find nothing
    to do as long as the trace and the remote have the same answers. 0: the host is not at rest. ``remote_command``
    asks the remote for its branches. ``offered``: the answer that the cycle got (``offered``). ``checks_command`` runs
    ``checks``, the health checks of the deploys; None where there are none."""

    def __init__(
        self,
        until: int = 0,
        *,
        fetch_s: int = DEFAULTS["fetch_s"],
        drift_s: int = DEFAULTS["drift_s"],
        plan_s: int = DEFAULTS["plan_s"],
        watch: bool = False,
        remote_command: TimedCommand | None = None,
        offered: str = "",
        checks_command: TimedCommand | None = None,
        checks: list[dict[str, object]] | None = None,
    ) -> None:
        self.until = until
        self.fetch_s = fetch_s
        self.drift_s = drift_s
        self.plan_s = plan_s
        self.watch = watch
        self.remote_command = remote_command
        self.offered = offered
        self.checks_command = checks_command
        self.checks = checks or []

    def is_current(self) -> bool:
        """True as long as the rest is not over."""
        return time.time() < self.until

    @property
    def over(self) -> Rest:
        """The rest of a host that is not at rest, with this schedule."""
        return Rest(fetch_s=self.fetch_s, drift_s=self.drift_s, plan_s=self.plan_s)

    @property
    def interval_s(self) -> int:
        """Seconds between two cycles of a host that is not at rest: each fetches, and looks at everything."""
        return max(1, min(self.fetch_s, self.drift_s, self.plan_s))


def offered(answer: bytes) -> str:
    """Return the lines of git's ``answer`` about a remote's refs, without the branches that hosts report to, with a
    character for each byte; empty where the answer is longer than ANSWER_MOST."""
    if len(answer) > ANSWER_MOST:
        return ""
    whole, shards = _REPORTS
    split = ((line, line.partition(b"\t")[2]) for line in answer.splitlines())
    return b"\n".join(line for line, ref in split if ref != whole and not ref.startswith(shards)).decode("latin-1")


def write(path: Path, rest: Rest, trace: str = "") -> None:
    """Replace the file. Raises OSError."""
    _replace(path, json.dumps(vars(rest)).encode() + b"\n" + trace.encode("latin-1"))


def _replace(path: Path, content: bytes) -> None:
    """Replace a file in memory by one that only root may read. Raises OSError."""
    temporary = path.with_name(f".{path.name}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def read(path: Path) -> Rest | None:
    """The host's rest as the last cycle wrote it; None where there is no file, or none of this form."""
    with suppress(OSError, ValueError, TypeError, RecursionError), opened(path) as file:
        rest = Rest(**json.loads(file.readline()))
        return rest if _has_its_types(rest) else None
    return None


def _has_its_types(rest: Rest) -> bool:
    given = vars(rest)
    plain = all(type(given[name]) is type(value) for name, value in vars(Rest()).items() if value is not None)
    commands = (rest.remote_command, rest.checks_command)
    return plain and all(command is None or _is_command(*command) for command in commands)


def _is_command(argv: object, environment: object, timeout_s: object) -> bool:
    if not isinstance(argv, list) or not isinstance(environment, dict) or type(timeout_s) is not int:
        return False
    texts = (*argv, *environment, *environment.values())
    return all(isinstance(text, str) for text in texts) and 0 < timeout_s <= ASK_LONGEST_S


def lines(path: Path) -> Iterator[bytes]:
    """The lines of the trace. Raises OSError."""
    with opened(path) as file:
        yield from lines_of(file)


def lines_of(file: BinaryIO) -> BinaryIO:
    """Return ``file``, at the first line of its trace."""
    file.seek(0)
    file.readline()
    return file


def unsigned_looks(path: Path) -> list[str]:
    """Return the reason of each look that no questions cover; none where the file cannot be read."""
    with suppress(OSError):
        split = (line.split(b"\t") for line in lines(path))
        return [subject.decode(errors="replace") for kind, subject, _ in split if kind == b"unsigned"]
    return []


def opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


class Suspicion:
    """The ``changes`` that the daemon saw: subjects of questions, each with its new answer. They happened between
    ``since``, when all answers were the old ones, and ``at`` (seconds since the epoch)."""

    def __init__(self, since: float, at: float, changes: Sequence[tuple[str, str]]) -> None:
        self.since = since
        self.at = at
        self.changes = tuple((str(subject), str(answer)) for subject, answer in changes)


def write_suspicion(path: Path, suspicion: Suspicion) -> None:
    """Replace the file. Raises OSError."""
    _replace(path, json.dumps(vars(suspicion)).encode())


def read_suspicion(path: Path) -> Suspicion | None:
    """The suspicion in the file; None where there is no file, or none of this form."""
    with suppress(OSError, ValueError, TypeError), opened(path) as file:
        return Suspicion(**json.loads(file.read()))
    return None
