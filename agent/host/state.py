"""The documents that a host keeps between cycles: values of ``domain.memory``, each file written whole or not at all.

Standard library only: the daemon reads them too, and it is to stay small. Only the holder of the lock writes.
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
"""Commits of which the report says when they were reached."""

BAD_KEPT = 50
"""A branch that brings more bad commits than this brings the first of them again."""


class Memory:
    """The documents of one host."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: dict[str, tuple[tuple[int, ...], Any]] = {}
        """By name, the signature of the file that was read or written last, and what it holds."""

    def trust(self) -> TrustRecord:
        return self._read("trust", TrustRecord) or TrustRecord()

    def applied(self) -> Applied:
        return self._read("applied", Applied) or Applied()

    def state(self) -> State:
        return self._read("state", State) or State()

    def suspension(self, now: int) -> Suspension | None:
        """The suspension that a person set with ``hostwright suspend``; None without one, or when its time is over."""
        suspension = self._read("suspended", Suspension)
        return suspension if suspension is not None and suspension.holds(now) else None

    def sightings(self) -> Sightings | None:
        """The commits seen on branches that are not followed; None if never written, or lost."""
        return self._read("sighted", Sightings)

    def pinned(self, now: int) -> Pinned | None:
        """The commit that a person said to stay on; None when nobody did, or when its time is over."""
        pinned = self._read("pinned", Pinned)
        return pinned if pinned is not None and pinned.holds(now) else None

    def trial(self) -> Trial | None:
        """The intended change that was begun and not judged."""
        return self._read("attempt", Trial)

    def bad(self) -> Mapping[str, Bad]:
        """By digest, the desired states that turned out bad or are in doubt."""
        return (self._read("bad", Verdicts) or Verdicts()).bad

    def update(self) -> Update | None:
        """The version of the agent that was tried last, and not kept."""
        return self._read("update", Update)

    def heal(self) -> tuple[SettingsError, ...]:
        """Moves away what is only knowledge about the past and cannot be read, and says so: without it the host is
        planned afresh. What was trusted and what a person said stay: whoever lost them would touch the host too soon.
        """
        healed = []
        for name, read in (
            ("state", self.state),
            ("applied", self.applied),
            ("attempt", self.trial),
            ("bad", self.bad),
            ("update", self.update),
            ("sighted", self.sightings),
        ):
            try:
                read()
            except SettingsError as error:
                path = self._paths.document(name)
                set_aside(path)
                healed.append(begun_afresh(path, error.message.removeprefix(f"{path} ")))
        return tuple(healed)

    def keep_trust(self, record: TrustRecord) -> None:
        self._write("trust", record)

    def keep_applied(self, applied: Applied) -> None:
        self._write("applied", dataclasses.replace(applied, adopted=applied.adopted[-ADOPTED_KEPT:]))

    def keep_state(self, state: State) -> None:
        self._write("state", state)

    def keep_trial(self, trial: Trial | None) -> None:
        self._write("attempt", trial)

    def keep_bad(self, bad: Bad) -> None:
        """Adds it, or puts it in the place of what was known of this digest. The oldest are forgotten."""
        known = {digest: each for digest, each in self.bad().items() if digest != bad.digest} | {bad.digest: bad}
        newest = sorted(known.values(), key=lambda each: each.at)[-BAD_KEPT:]
        self._write("bad", Verdicts({each.digest: each for each in newest}))

    def forgive(self, digest: str) -> None:
        """It turned out good."""
        known = dict(self.bad())
        if known.pop(digest, None) is not None:
            self._write("bad", Verdicts(known))

    def keep_pinned(self, pinned: Pinned | None) -> None:
        self._write("pinned", pinned)

    def keep_sightings(self, sightings: Sightings | None) -> None:
        self._write("sighted", sightings)

    def keep_update(self, update: Update | None) -> None:
        self._write("update", update)

    def keep_suspension(self, suspension: Suspension | None) -> None:
        self._write("suspended", suspension)

    def _write(self, name: str, document: object) -> None:
        """Keeps the document, or removes it where it is None. A file that says the same is left alone."""
        path = self._paths.document(name)
        if document is None:
            path.unlink(missing_ok=True)
        elif self._remembered(name, path) != document:
            write_atomic(path, codec.encode(document, indent=1))
            self._known[name] = (_signature(path), document)

    def _remembered(self, name: str, path: Path) -> Any:
        """The document as it was read or written last, where the file is still that one; else None."""
        signature, document = self._known.get(name, (None, None))
        with suppress(OSError):
            return document if signature == _signature(path) else None
        return None

    def _read(self, name: str, kind: type[D]) -> D | None:
        path = self._paths.document(name)
        try:
            if wrong := misplaced_file(path):
                raise ValueError(f"it is {wrong}")
            known: D | None = self._remembered(name, path)
            if known is None:
                signature = _signature(path)
                known = codec.decode(read_bounded(path), kind)
                self._known[name] = (signature, known)
            return known
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk refused it; what is too large to be a document has no number
            raise SettingsError(
                f"{path} cannot be read: {error}",
                kind=ProblemKind.STATE_CORRUPT,
                hint=f"move it away (mv {path} {path}{SUFFIX}): {_WITHOUT[name]}",
            ) from error


def _signature(path: Path) -> tuple[int, ...]:
    """A signature that changes when the file is another one, or was written to. Raises OSError."""
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_WITHOUT = {
    "attempt": "how often the last change was begun is counted anew",
    "bad": "a commit that was rolled back is then tried once more",
    "state": "`hostwright apply` plans the host afresh",
    "applied": "`hostwright apply` plans the host afresh",
    "trust": "the host then takes nothing that is not newer than what it applied last",
    "suspended": "the host is then not suspended any more",
    "pinned": "the host then goes on to the newest commit",
    "sighted": "what other branches are at now then counts as seen before",
    "update": "a version of the agent that failed is then tried once more",
}
"""The consequence of losing each document."""
