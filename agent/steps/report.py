"""report: turns the account of a cycle into a signed document on the status branch; always, whatever failed.

What cannot be sent waits in the spool and goes out, in order, with the next report. If the disk takes nothing, it waits
in /run. News goes at once, all-is-well in the host's slot or with its heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__
from agent.domain.account import Account, Log
from agent.domain.event import Event, EventKind
from agent.domain.host_phase import HostPhase, host_phase
from agent.domain.memory import FleetSettings
from agent.domain.report import Report
from agent.domain.status import Signed
from agent.domain.text import moment
from agent.domain.tree import Tree
from agent.errors import Consequence, HostwrightError, ReportError, UsageError
from agent.fleet.compose import EVENTS_TOLD, ReportMeta, compose
from agent.fleet.due import LATE_S, heartbeat_s, lately, next_send, window_s
from agent.host.events import Events
from agent.host.outbox import Outbox, suspects
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.system.files import write_atomic

if TYPE_CHECKING:
    from agent.fleet.writer import StatusBranch
    from agent.host.admission import Admission
    from agent.host.identity import Identity
    from agent.steps.publish import Publisher

SEND_DEADLINE_S = 90.0
"""Seconds for a push with all its retries: more than a hundred hosts at once need, less than a missed heartbeat."""

ATTEMPT_DEADLINE_S = 10.0
"""Seconds by which the report "about to apply" may delay the applying."""


@dataclass(frozen=True, slots=True)
class StatusReporter:
    """The sender of one host's reports. ``branch`` makes the status branch by the present fleet.yaml; ``tree`` gives
    the files of a trusted commit, for the page. ``admission`` takes the newest trusted commit; None: nobody is to be
    asked."""

    settings: Settings
    memory: Memory
    events: Events
    identity: Callable[[], Identity]
    """Called only to sign: a host whose key is unusable still converges."""
    outboxes: tuple[Outbox, ...]
    branch: Callable[[FleetSettings, Path], StatusBranch]
    """Also takes the folder of its cache."""
    tree: Callable[[str], Tree]
    clock: Callable[[], int]
    admission: Callable[[str | None], Admission] | None = None
    request_files: tuple[Path, ...] = ()
    """Files of which one exists while this host has a request on the branch, or keys to ask for."""

    def attempting(self, account: Account) -> None:
        """Report that a change is about to be applied. Best effort. A host that goes silent after it was taken down by
        that change."""
        with Log().surviving():  # the report at the end of the cycle says what is wrong
            box = self._box()
            self._take_up_keys(account)
            signed = self._signed(self._compose(account, HostPhase.ATTEMPTING), box)
            # No spool keeps it: a host that is killed after the push must know the report for its own.
            write_atomic(box.announced, signed.document)
            self._publish([signed], account, box, ATTEMPT_DEADLINE_S)

    def report(self, account: Account) -> Sequence[HostwrightError]:
        """Send what is new and what waits. Return what else is wrong with this host's reports. Raises ReportError when
        it was not sent; an outbox has it then."""
        fleet = self._fleet(account)
        box = self._box()
        wrong = [shared] if (shared := self._shared(fleet)) is not None else []
        account = replace(account, failures=(*account.failures, *wrong))
        current = self._compose(account, host_phase(account))
        waiting = self._waiting(box)
        # After new keys are admitted, readers believe this host again only by a report that they signed.
        if self._take_up_keys(account) or self._next_send(fleet, current, waiting) <= self.clock():
            self._keep(self._signed(current, box), box)
            waiting = self._waiting(box)
        if waiting:
            self._publish(waiting, account, box, SEND_DEADLINE_S)
            for each in self._from(box):
                each.spool.sent(waiting)
        return [*wrong, *self._displaced(account)]

    def next_report(self, account: Account) -> int:
        """The moment at which something has to be sent again although nothing happens (seconds since the epoch)."""
        waiting, now = self._waiting(self._box()), self.clock()
        if waiting:
            return now
        return self._next_send(self._fleet(account), self._compose(account, host_phase(account)), ())

    def _next_send(self, fleet: FleetSettings, current: Report, waiting: Sequence[Signed]) -> int:
        """The moment at which ``current`` is to be sent, in seconds since the epoch. ``waiting``: what is sent
        anyway."""
        known = (*(each.last_sent() for each in self.outboxes), *(signed.report for signed in waiting))
        last = max((report for report in known if report is not None), key=lambda report: report.sequence, default=None)
        heartbeat = heartbeat_s(fleet.hosts, fleet.pushes_per_minute)
        window = window_s(fleet.hosts, fleet.pushes_per_minute)
        return next_send(current, last, now=self.clock(), heartbeat=heartbeat, window=window)

    def _box(self) -> Outbox:
        return next((box for box in self.outboxes if box.takes), self.outboxes[-1])

    def _from(self, box: Outbox) -> tuple[Outbox, ...]:
        """``box`` and those after it. Reports in one before it, which takes nothing now, wait on: it could not forget
        them."""
        return self.outboxes[self.outboxes.index(box) :]

    def _waiting(self, box: Outbox) -> tuple[Signed, ...]:
        """All unsent reports in ``box`` and those after it, oldest first."""
        waiting = (signed for each in self._from(box) for signed in each.spool.pending())
        return tuple(sorted(waiting, key=lambda signed: signed.report.sequence))

    def _keep(self, signed: Signed, box: Outbox) -> None:
        given_up = box.spool.add(signed)
        if given_up and box is self.outboxes[0]:
            reports = "1 unsent report was" if len(given_up) == 1 else f"{len(given_up)} unsent reports were"
            oldest = min(report.sequence for report in given_up)
            message = f"{reports} given up for a newer one, the oldest with sequence {oldest}: the spool is full"
            self.events.add([Event(self.clock(), EventKind.REPORT_GIVEN_UP, message)])

    def _publish(self, reports: Sequence[Signed], account: Account, box: Outbox, deadline_s: float) -> None:
        trusted = account.trusted.sha if account.trusted is not None else None
        own = {self.settings.host: self.identity().public_line}
        fleet = self._fleet(account)
        publisher = self._publisher(box, fleet, own, self._admission(account))
        if account.fetched is not None and self.settings.reports_to(fleet) == self.settings.remote:
            publisher = replace(publisher, heads=account.fetched.others)
        publisher.publish(reports, trusted, deadline_s)

    def request_admission(self) -> None:
        """Ask to be admitted, if this host is not. Raises ReportError, SettingsError."""
        admission = self._admission(None)
        self._publisher(self._box(), self.memory.state().fleet, {}, admission).send_request(SEND_DEADLINE_S)

    def rotate(self) -> tuple[str, bool]:
        """Ask to be admitted with new keys, or with those that wait already. Return their fingerprint, and True if they
        are new.

        Raises OSError, ReportError, SettingsError, and UsageError for a host that nobody admits.
        """
        if (admission := self._admission(None)) is None:
            raise UsageError("nobody admits this host", hint="it follows its own repository")
        asked = admission.rotate()
        self.request_admission()
        return asked

    def withdraw(self) -> None:
        """Take this host's report and request off the branch, where they are its own. Raises ReportError."""
        admission = self._admission(None)
        publisher = self._publisher(self._box(), self.memory.state().fleet, {}, admission)
        publisher.withdraw(self.memory.trust().last)

    def _admission(self, account: Account | None) -> Admission | None:
        trusted = account.trusted.sha if account is not None and account.trusted is not None else None
        return self.admission(trusted or self.memory.trust().last) if self.admission is not None else None

    def _take_up_keys(self, account: Account) -> bool:
        """Take up the keys that this host asked for, if they are admitted by now. Return True from then on, as long as
        the branch has its request."""
        admission = self._admission_asked_for(account)
        if admission is not None:
            with Log().surviving():
                return admission.take_up()
        return False

    def _admission_asked_for(self, account: Account) -> Admission | None:
        """The admission of a host that asks for something; None for any other."""
        return self._admission(account) if any(path.exists() for path in self.request_files) else None

    def _displaced(self, account: Account) -> list[ReportError]:
        """The error of a host whose name the fleet knows another machine by; empty for any other."""
        admission = self._admission_asked_for(account)
        if admission is not None:
            with Log().surviving():
                return [taken] if (taken := admission.name_taken()) is not None else []
        return []

    def _publisher(
        self, box: Outbox, fleet: FleetSettings, own: Mapping[str, str], admission: Admission | None
    ) -> Publisher:
        from agent.steps.publish import Publisher  # most cycles have nothing to say

        return Publisher(self, fleet, box, own, admission)

    def _shared(self, fleet: FleetSettings) -> ReportError | None:
        """The error of a host whose identity another machine has too, with the last report of that one; None if it sent
        none of late. The other machine reports as often as this one."""
        rivals = [found for box in self.outboxes if (found := box.last_rival()) is not None]
        if not rivals:
            return None
        rival, found_at = max(rivals, key=lambda one: one[1])
        if not lately(found_at, self.clock(), fleet):
            return None
        said = "".join(f": {problem.message.splitlines()[0]}" for problem in rival.problems[:1] if problem.message)
        return ReportError(
            f"another machine reports as {rival.host}; at {moment(rival.at)} it was {rival.phase}{said}",
            hint="remove /var/lib/hostwright/identity on the copy, give it a name of its own, and admit it",
            kind=ProblemKind.IDENTITY_SHARED,
            consequence=Consequence.STALL,
        )

    def _compose(self, account: Account, phase: HostPhase) -> Report:
        now = self.clock()
        fleet = self._fleet(account)
        meta = ReportMeta(
            host=self.settings.host,
            inventory=self.settings.inventory,
            agent_version=__version__,
            sequence=0,
            at=now,
            next_due=now + heartbeat_s(fleet.hosts, fleet.pushes_per_minute) + LATE_S,
            bad=tuple(sorted(self.memory.bad())),
            counts=fleet.counts,
        )
        return compose(account, phase, self.memory.applied(), self.events.last(EVENTS_TOLD), meta)

    def _signed(self, report: Report, box: Outbox) -> Signed:
        above = max(each.spool.highest() for each in self.outboxes)
        above = max((above, *(suspect.sequence for suspect, _ in suspects(self.outboxes))))
        sequence = box.spool.next_sequence(self.clock() * 1000, above=above)
        return self.identity().signed(replace(report, sequence=sequence))

    def _fleet(self, account: Account) -> FleetSettings:
        return account.fleet or self.memory.state().fleet
