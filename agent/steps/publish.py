"""publish: turns signed reports into a commit on the status branch, with the page for people beside them.

A cycle imports it only to send something: most cycles have nothing to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from agent.domain.account import Log
from agent.domain.memory import FleetSettings
from agent.domain.status import HostStatus, RawDocument, Signed, report_path
from agent.fleet.due import lately
from agent.fleet.reader import belongs, judge, judge_all
from agent.fleet.render import readme
from agent.fleet.writer import Asking, Displaced, Render, StatusBranch
from agent.host.admission import Admission, AdmissionState
from agent.host.outbox import Outbox, suspects
from agent.system.files import write_atomic

if TYPE_CHECKING:
    from agent.steps.report import StatusReporter

WITHDRAW_DEADLINE_S = 20.0
"""Seconds by which a remote that does not answer may delay an uninstall."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """The sender of reports for ``reporter``, by way of ``box``. ``own``: the host's name and public line.
    ``admission``: None where nobody is to be asked."""

    reporter: StatusReporter
    fleet: FleetSettings
    box: Outbox
    own: Mapping[str, str]
    admission: Admission | None
    heads: Mapping[str, str] = field(default_factory=dict)
    """By name, the commits of branches of the remote that takes reports, if this cycle has asked that remote."""

    def publish(self, reports: Sequence[Signed], trusted: str | None, deadline_s: float) -> None:
        """Send ``reports``, oldest first, and this host's request to be admitted. If its fleet knows another key by its
        name, send the request alone. Raises ReportError when that did not arrive."""
        branch, page, state = self._branch, self._page(trusted), self._admission_state()
        asking = self._prepared(state)
        sent = reports if state is None or not state.displaced else ()
        send = partial(branch.publish, sent, render=page, deadline_s=deadline_s, asking=asking, heads=self.heads)
        try:
            send(expected=self._documents())
        except Displaced:
            self._look_for_rival(branch, deadline_s)
            send()
        write_atomic(self.box.sent, reports[-1].document)
        if self.admission is not None and state is not None and (asking is not None or state.request is None):
            self.admission.keep(state)

    def send_request(self, deadline_s: float) -> None:
        """Put the request of this host on the branch, and nothing else. Raises ReportError when it did not arrive,
        SettingsError where the keys cannot be used."""
        if self.admission is not None:
            state = self.admission.state()
            self.admission.prepare(state)
            self._branch.publish((), render=None, deadline_s=deadline_s, asking=self._asking(state))
            self.admission.keep(state)

    def _admission_state(self) -> AdmissionState | None:
        """The host's side of its admission; None without one, and if it cannot be read: the report goes out all the
        same."""
        if self.admission is not None:
            with Log().surviving():
                return self.admission.state()
        return None

    def _prepared(self, state: AdmissionState | None) -> Asking | None:
        """The request to send, written down. None without one, and if the disk takes nothing: what is not written down
        is not asked, and the report goes out all the same."""
        if self.admission is not None and state is not None:
            with Log().surviving():
                self.admission.prepare(state)
                return self._asking(state)
        return None

    def _asking(self, state: AdmissionState) -> Asking | None:
        if state.request is None and not state.asked:
            return None
        return Asking(self.reporter.settings.host, self.reporter.clock(), state.ssh, state.request, state.asked)

    def withdraw(self, trusted: str | None) -> None:
        """Take this host's report and requests off the branch, where they are its own. Raises ReportError."""
        state = self._admission_state()
        self._branch.withdraw(
            self.reporter.settings.host,
            at=self.reporter.clock(),
            render=self._page(trusted),
            expected=[*self._documents(), *(state.asked if state is not None else ())],
            deadline_s=WITHDRAW_DEADLINE_S,
        )

    @property
    def _branch(self) -> StatusBranch:
        return self.reporter.branch(self.fleet, self.box.cache)

    def _documents(self) -> list[bytes]:
        return [document for each in self.reporter.outboxes for document in each.documents()]

    def _page(self, trusted: str | None) -> Render | None:
        """The function that makes the page, with this host beside the identities of the commit ``trusted``. None if
        this host makes no page, or without ``trusted``: nobody here knows then which hosts are admitted, and the page
        stays as it is."""
        if not self.fleet.render or trusted is None:
            return None

        def render(found: Sequence[RawDocument]) -> bytes:
            from agent.steps.members import hosts_of, identities_of  # not every host makes the page

            tree, inventory = self.reporter.tree(trusted), self.reporter.settings.inventory
            known, hosts = {**identities_of(tree, inventory), **self.own}, hosts_of(tree, inventory)
            told = judge_all(found, known, hosts=hosts or ())
            return readme(
                (each for each in told if belongs(each, known, hosts) or _of_another(each, inventory)),
                inventory=inventory,
                as_of=self.reporter.clock(),
            )

        return render

    def _look_for_rival(self, branch: StatusBranch, deadline_s: float) -> None:
        """Keep the report that stands in the place of this host's, if it is signed with this host's key.

        One such report proves nothing: a machine that was set back to an older state finds its own. It writes over that
        one, and finds no other. So a second one within a while is that of another machine: it is kept as the rival. A
        report that is older than what this machine sent last is its own: somebody has put it back. A machine that no
        longer knows what it sent suspects nobody.
        """
        if self.box.last_sent() is None:
            return
        now = self.reporter.clock()
        last = max(sent.sequence for each in self.reporter.outboxes if (sent := each.last_sent()) is not None)
        for found in branch.read(deadline_s):
            if found.document is None or found.path != report_path(self.reporter.settings.host):
                continue
            status = judge(found, self.own, {})
            if status.verified and status.report is not None and status.report.sequence > last:
                known = [report for report, at in suspects(self.reporter.outboxes) if lately(at, now, self.fleet)]
                again = any(before.sequence != status.report.sequence for before in known)
                for path in (self.box.suspect, *[self.box.rival] * again):
                    write_atomic(path, found.document)
                    os.utime(path, (now, now))


def _of_another(status: HostStatus, inventory: str) -> bool:
    """True if the report claims to be from a host of another inventory, which may share the branch with this one."""
    return status.report is not None and status.report.inventory != inventory
