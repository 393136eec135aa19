"""The documents that a host keeps between cycles: values of ``domain.memory``, each in a file of its own.

A file is written as a whole or not at all. Only the holder of the lock writes, and ``suspend`` and ``resume``, which do
not wait for it. Standard library only: the webhook's service reads the documents too, and has to stay small.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from agent.domain import codec
from agent.domain.memory import Applied, Pinned, State, Suspension, TrustRecord, Update
from agent.domain.sightings import Sightings
from agent.domain.trial import Bad, Trial, Verdicts
from agent.errors import SettingsError
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system.files import read_bounded, write_atomic
from agent.system.misplaced import SUFFIX, begun_afresh, misplaced_file, set_aside

D = TypeVar("D")

ADOPTED_KEPT = 20
"""The number of adopted commits that are remembered, and that a report lists."""

BAD_KEPT = 50
"""The number of bad states that are remembered. After more of them, the host may try the first once more."""


class Memory:
    """The documents of one host. Each method that reads raises SettingsError for a document that cannot be read."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: dict[Path, tuple[tuple[int, ...], Any]] = {}
        """By file, its signature when it was last read or written, and the value in it."""

    def trust(self) -> TrustRecord:
        return self._read(TrustRecord) or TrustRecord()

    def applied(self) -> Applied:
        return self._read(Applied) or Applied()

    def state(self) -> State:
        return self._read(State) or State()

    def suspension(self, now: int) -> Suspension | None:
        """The suspension that a person set with ``hostwright suspend``; None without one, or if its time is over."""
        suspension = self._read(Suspension)
        return suspension if suspension is not None and suspension.is_current(now) else None

    def sightings(self) -> Sightings | None:
        """The commits seen on branches that are not followed; None if none were ever written down, or they were
        lost."""
        return self._read(Sightings)

    def pinned(self, now: int) -> Pinned | None:
        """The commit that a person said to stay on; None without one, or if its time is over."""
        pinned = self._read(Pinned)
        return pinned if pinned is not None and pinned.is_current(now) else None

    def trial(self) -> Trial | None:
        """The trial of the intended change that was begun and not judged; None without one."""
        return self._read(Trial)

    def bad(self) -> Mapping[str, Bad]:
        """The desired states that are bad or in doubt, by digest."""
        return (self._read(Verdicts) or Verdicts()).bad

    def update(self) -> Update | None:
        """The version of the agent that was tried last, until it is kept; None without one."""
        return self._read(Update)

    def heal(self) -> tuple[SettingsError, ...]:
        """Set aside the documents that cannot be read, and return the problems to report. The host is planned afresh
        without them. Not set aside are the trusted commit, the suspension and the pinned commit: without one of these
        the agent might touch the host too soon.
        """
        healed = []
        for kind in (State, Applied, Trial, Verdicts, Update, Sightings):
            try:
                self._read(kind)
            except SettingsError as error:
                path = self._path(kind)
                set_aside(path)
                healed.append(begun_afresh(path, error.message.removeprefix(f"{path} ")))
        return tuple(healed)

    def keep_trust(self, record: TrustRecord) -> None:
        self._write(TrustRecord, record)

    def keep_applied(self, applied: Applied) -> None:
        self._write(Applied, dataclasses.replace(applied, adopted=applied.adopted[-ADOPTED_KEPT:]))

    def keep_state(self, state: State) -> None:
        self._write(State, state)

    def keep_trial(self, trial: Trial | None) -> None:
        self._write(Trial, trial)

    def keep_bad(self, bad: Bad) -> None:
        """Remember ``bad``, in the place of an older verdict on the same digest. The oldest beyond ``BAD_KEPT`` are
        forgotten."""
        known = {digest: each for digest, each in self.bad().items() if digest != bad.digest} | {bad.digest: bad}
        newest = sorted(known.values(), key=lambda each: each.at)[-BAD_KEPT:]
        self._write(Verdicts, Verdicts({each.digest: each for each in newest}))

    def forgive(self, digest: str) -> None:
        """Forget the verdict on a desired state that turned out good."""
        known = dict(self.bad())
        if known.pop(digest, None) is not None:
            self._write(Verdicts, Verdicts(known))

    def keep_pinned(self, pinned: Pinned | None) -> None:
        self._write(Pinned, pinned)

    def keep_sightings(self, sightings: Sightings | None) -> None:
        self._write(Sightings, sightings)

    def keep_update(self, update: Update | None) -> None:
        self._write(Update, update)

    def keep_suspension(self, suspension: Suspension | None) -> None:
        self._write(Suspension, suspension)

    def _path(self, kind: type) -> Path:
        name, _ = _DOCUMENTS[kind]
        return self._paths.document(name)

    def _write(self, kind: type[D], document: D | None) -> None:
        """Write the document, or remove its file for None. A file that holds the same already is left alone."""
        path = self._path(kind)
        if document is None:
            path.unlink(missing_ok=True)
        elif self._remembered(path) != document:
            write_atomic(path, codec.encode(document, indent=1))
            self._known[path] = (_signature(path), document)

    def _remembered(self, path: Path) -> Any:
        """The document as it was last read or written, if the file is unchanged since; else None."""
        signature, document = self._known.get(path, (None, None))
        with suppress(OSError):
            return document if signature == _signature(path) else None
        return None

    def _read(self, kind: type[D]) -> D | None:
        path = self._path(kind)
        try:
            if wrong := misplaced_file(path):
                raise ValueError(f"it is {wrong}")
            known: D | None = self._remembered(path)
            if known is None:
                signature = _signature(path)
                known = codec.decode(read_bounded(path), kind)
                self._known[path] = (signature, known)
            return known
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk failed; only the error of ``read_bounded`` about a too large file has no errno
            raise SettingsError(
                f"{path} cannot be read: {error}",
                kind=ProblemKind.STATE_CORRUPT,
                hint=f"move it away (mv {path} {path}{SUFFIX}): {_DOCUMENTS[kind][1]}",
            ) from error


def _signature(path: Path) -> tuple[int, ...]:
    """A signature of the file that changes when it is replaced or written to. Raises OSError."""
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_DOCUMENTS: Mapping[type, tuple[str, str]] = {
    Trial: ("attempt", "how often the last change was begun is counted anew"),
    Verdicts: ("bad", "a commit that was rolled back is then tried once more"),
    State: ("state", "`hostwright apply` plans the host afresh"),
    Applied: ("applied", "`hostwright apply` plans the host afresh"),
    TrustRecord: ("trust", "the host then takes nothing that is not newer than what it applied last"),
    Suspension: ("suspended", "the host is then not suspended any more"),
    Pinned: ("pinned", "the host then goes on to the newest commit"),
    Sightings: ("sighted", "what other branches are at now then counts as seen before"),
    Update: ("update", "a version of the agent that failed is then tried once more"),
}
"""The name of each document, and the consequence of its loss, for the error about it."""
