"""report: turns the account of a cycle into a signed document on the status branch; always, whatever failed.

What cannot be sent waits in the spool and goes out, in order, with the next report; where the disk takes nothing, in
/run. News goes at once, all-is-well in
the host's slot or with its heartbeat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent import __version__
from agent.domain.account import Account, Log
from agent.domain.event import Event, EventKind
from agent.domain.memory import FleetSettings
from agent.domain.report import Phase, Report
from agent.domain.status import HostStatus, RawReport, Signed, report_path
from agent.domain.text import moment
from agent.errors import Consequence, HostwrightError, ReportError
from agent.fleet.compose import EVENTS_TOLD, ReportMeta, compose
from agent.fleet.due import heartbeat_s, should_send, window_s
from agent.fleet.reader import belongs, judge, judge_all
from agent.fleet.render import readme
from agent.fleet.writer import Displaced, Render, StatusBranch
from agent.host.events import Events
from agent.host.identity import Identity
from agent.host.outbox import Outbox
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.steps.remember import phase_of
from agent.system.files import write_atomic

SEND_DEADLINE_S = 90.0
"""For one push with all its retries: longer than a hundred hosts at once need, shorter than a missed heartbeat."""

ATTEMPT_DEADLINE_S = 10.0
"""What saying "about to apply" may delay the applying."""

WITHDRAW_DEADLINE_S = 20.0
"""What it may delay an uninstall that nobody answers."""

LATE_S = 15 * 60
"""Added to the heartbeat before a host counts as silent: one slow cycle is no news."""


@dataclass(frozen=True, slots=True)
class StatusReporter:
    """Reports of one host. ``branch`` makes the status branch for what fleet.yaml says now; ``identities`` gives the
    keys of admitted hosts, for the page."""

    settings: Settings
    memory: Memory
    events: Events
    identity: Callable[[], Identity]
    """Asked for when it signs: a host whose key is unusable still converges."""
    outboxes: tuple[Outbox, ...]
    branch: Callable[[FleetSettings, Path], StatusBranch]
    """By way of the cache in that folder."""
    identities: Callable[[str | None], Mapping[str, str]]
    hosts: Callable[[str | None], frozenset[str] | None]
    """The hosts of the inventory, for the page; None where nobody can tell."""
    clock: Callable[[], int]

    def attempting(self, account: Account) -> None:
        """Best effort: a host that goes silent behind this was taken down by its change."""
        with Log().surviving():  # whatever is wrong, the report behind it says so
            box = self._box()
            signed = self._signed(self._compose(account, Phase.ATTEMPTING), box)
            # It waits in no spool: a host that is killed behind the push has to know it for its own.
            write_atomic(box.announced, signed.document)
            self._publish([signed], account, box, ATTEMPT_DEADLINE_S)

    def report(self, account: Account) -> Sequence[HostwrightError]:
        """Sends what is new and what waits. Returns what else is wrong with this host's reports. Raises ReportError
        when it was not sent; an outbox has it then."""
        fleet = self._fleet(account)
        box = self._box()
        wrong = [shared] if (shared := self._shared(fleet)) is not None else []
        account = replace(account, failures=(*account.failures, *wrong))
        current = self._compose(account, phase_of(account))
        waiting = self._waiting(box)
        known = (*(each.last_sent() for each in self.outboxes), *(signed.report for signed in waiting))
        last = max((report for report in known if report is not None), key=lambda report: report.sequence, default=None)
        heartbeat = heartbeat_s(fleet.hosts, fleet.pushes_per_minute)
        window = window_s(fleet.hosts, fleet.pushes_per_minute)
        if should_send(current, last, now=self.clock(), heartbeat=heartbeat, window=window):
            self._keep(self._signed(current, box), box)
            waiting = self._waiting(box)
        if waiting:
            self._publish(waiting, account, box, SEND_DEADLINE_S)
            for each in self._from(box):
                each.spool.sent(waiting)
        return wrong

    def _box(self) -> Outbox:
        return next((box for box in self.outboxes if box.takes), self.outboxes[-1])

    def _from(self, box: Outbox) -> tuple[Outbox, ...]:
        """``box`` and those behind it. What waits in one that takes nothing now waits on: it could not be forgotten."""
        return self.outboxes[self.outboxes.index(box) :]

    def _waiting(self, box: Outbox) -> tuple[Signed, ...]:
        """All that is unsent, oldest first."""
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
        fleet = self._fleet(account)
        trusted = account.trusted.sha if account.trusted is not None else None
        own = {self.settings.host: self.identity().public_line}
        branch, page = self.branch(fleet, box.cache), self._page(fleet, trusted, own)
        try:
            branch.publish(reports, render=page, deadline_s=deadline_s, expected=self._own_documents())
        except Displaced:
            self._look_for_rival(branch, box, fleet, deadline_s)
            branch.publish(reports, render=page, deadline_s=deadline_s)
        write_atomic(box.sent, reports[-1].document)

    def _own_documents(self) -> list[bytes]:
        return [document for each in self.outboxes for document in each.documents()]

    def _page(self, fleet: FleetSettings, trusted: str | None, own: Mapping[str, str]) -> Render | None:
        """Makes the page, with ``own`` beside the identities of the commit ``trusted``. Without one nobody here knows
        which hosts are admitted: the page stays as it is."""
        if not fleet.render or trusted is None:
            return None

        def render(found: Sequence[RawReport]) -> bytes:
            known, hosts = {**self.identities(trusted), **own}, self.hosts(trusted)
            told = judge_all(found, known, hosts=hosts or ())
            return readme(
                (each for each in told if belongs(each, known, hosts) or _of_another(each, self.settings.inventory)),
                inventory=self.settings.inventory,
                as_of=self.clock(),
            )

        return render

    def withdraw(self) -> None:
        """Takes this host's report off the branch, where it is one of its own. Raises ReportError."""
        fleet, box = self.memory.state().fleet, self._box()
        page = self._page(fleet, self.memory.trust().last, {})
        self.branch(fleet, box.cache).withdraw(
            self.settings.host,
            at=self.clock(),
            render=page,
            expected=self._own_documents(),
            deadline_s=WITHDRAW_DEADLINE_S,
        )

    def _look_for_rival(self, branch: StatusBranch, box: Outbox, fleet: FleetSettings, deadline_s: float) -> None:
        """Keeps the report that stands in the place of this host's, where it is signed with this host's key.

        Once proves nothing: a machine that was set back, or lost what it knew, finds its own. It writes over that, and
        finds no other. So a second one within a while is that of another machine. One that is older than what this
        machine sent last is its own: somebody has put it back. A machine that no longer knows what it sent suspects
        nobody.
        """
        own = {self.settings.host: self.identity().public_line}
        if box.last_sent() is None:
            return
        last = max(sent.sequence for each in self.outboxes if (sent := each.last_sent()) is not None)
        for found in branch.read(deadline_s):
            if found.document is None or found.path != report_path(self.settings.host):
                continue
            status = judge(found, own, {})
            if status.verified and status.report is not None and status.report.sequence > last:
                suspects = [each for each in self._suspects() if self._lately(each[1], fleet)]
                again = any(before.sequence != status.report.sequence for before, _ in suspects)
                for path in (box.suspect, *[box.rival] * again):
                    write_atomic(path, found.document)
                    os.utime(path, (self.clock(), self.clock()))

    def _suspects(self) -> list[tuple[Report, int]]:
        return [suspect for box in self.outboxes if (suspect := box.last_suspect()) is not None]

    def _lately(self, found_at: int, fleet: FleetSettings) -> bool:
        """Whether another machine would have reported again since then."""
        return abs(self.clock() - found_at) <= 2 * heartbeat_s(fleet.hosts, fleet.pushes_per_minute) + LATE_S

    def _shared(self, fleet: FleetSettings) -> ReportError | None:
        """What another machine with this host's identity has said of late. It reports as often as this one."""
        rivals = [found for box in self.outboxes if (found := box.last_rival()) is not None]
        if not rivals:
            return None
        rival, found_at = max(rivals, key=lambda one: one[1])
        if not self._lately(found_at, fleet):
            return None
        said = "".join(f": {problem.message.splitlines()[0]}" for problem in rival.problems[:1] if problem.message)
        return ReportError(
            f"another machine reports as {rival.host}; at {moment(rival.at)} it was {rival.phase}{said}",
            hint="remove /var/lib/hostwright/identity on the copy, give it a name of its own, and admit it",
            kind=ProblemKind.IDENTITY_SHARED,
            consequence=Consequence.STALL,
        )

    def _compose(self, account: Account, phase: Phase) -> Report:
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
        above = max((above, *(suspect.sequence for suspect, _ in self._suspects())))
        sequence = box.spool.next_sequence(self.clock() * 1000, above=above)
        return self.identity().signed(report.model_copy(update={"sequence": sequence}))

    def _fleet(self, account: Account) -> FleetSettings:
        return account.fleet or self.memory.state().fleet


def _of_another(status: HostStatus, inventory: str) -> bool:
    """Whether it is the claim of a host of another inventory, which may share the branch with this one."""
    return status.report is not None and status.report.inventory != inventory
