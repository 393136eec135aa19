"""The writing of signed reports to the status branch: each host writes its own two files, many hosts at once.

A push succeeds only if the branch is still at the tip on which the commit was built. If another host was quicker, the
host fetches and builds again after a random wait (full jitter: between nothing and a bound that doubles).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from agent.domain.request import SignedRequest, request_folder, request_path, requested_host
from agent.domain.status import PAGE, RawDocument, Signed, report_path, signature_path
from agent.domain.tree import blob_id
from agent.errors import ReportError
from agent.fleet.reader import found_on
from agent.fleet.requests import Requests, requests_on
from agent.problems import ProblemKind
from agent.system.files import discard
from agent.system.git_branch import Branch, BranchFile, Contended, NewCommit
from agent.system.git_command import Access
from agent.system.git_objects import DamagedError
from agent.system.remote import Remote

BACKOFF_FIRST_S = 0.25
"""About the time of one push over a WAN on an open connection."""
BACKOFF_MOST_S = 16.0

LATEST_DATE = 2**40
"""Seconds since the epoch: the latest date of a commit. A host's clock may be wrong by any time."""

T = TypeVar("T")


class Displaced(Exception):
    """The branch holds an unexpected report in the place of this host's."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The wanted state of one host's request on the branch: ``request``, or none if that is None. ``at``: seconds since
    the epoch. ``ssh``: the public key that it asks for. ``asked``: the documents of its former requests."""

    host: str
    at: int
    ssh: str
    request: SignedRequest | None
    asked: Sequence[bytes]

    def changes(self, lying: Sequence[BranchFile]) -> dict[str, bytes | None]:
        """The files to write, and with None to remove. ``lying``: the requests for the host's name on the branch, and
        their signatures. Requests of other machines for the same name stay: an administrator sees all."""
        there = {file.path: file.object_id for file in lying}
        documents = (*self.asked, *([self.request.document] if self.request is not None else []))
        known = {blob_id(document) for document in documents}
        own = [path for path, object_id in there.items() if object_id in known]
        files: dict[str, bytes | None] = {path: None for each in own for path in (each, f"{each}.sig")}
        if self.request is not None:
            first, second = request_path(self.host), request_path(self.host, self.ssh)
            path = second if second in own or (first in there and first not in own) else first
            files |= {path: self.request.document, f"{path}.sig": self.request.signature}
        # A stranger may have replaced either file of the two.
        return {
            path: content
            for path, content in files.items()
            if (there.get(path) != blob_id(content) if content is not None else path in there)
        }


Render = Callable[[Sequence[RawDocument]], bytes]
"""Called with all reports on the branch as they will be after this push; returns the page that forges show."""

WITHOUT_REPORTS = "blob:none"
WITHOUT_GIANTS = "blob:limit=1m"
"""The filter for a page or a reader, who need all reports, but no file that is too large to be one."""


@dataclass(frozen=True, slots=True)
class StatusBranch:
    """The status branch of ``remote``, cached in the folder ``repo``, which may be deleted at any time. No other
    process may use ``repo`` meanwhile; the caller makes sure of that."""

    repo: Path
    remote: Remote
    access: Access
    branch: str = "status"

    def publish(
        self,
        reports: Sequence[Signed],
        *,
        render: Render | None,
        deadline_s: float,
        expected: Collection[bytes] | None = None,
        asking: Asking | None = None,
        heads: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Push one commit for each report, in order, in one push. Return the name of the tip now; empty if there is
        none.

        ``render``: makes the page, which goes into the last commit. ``asking``: changes of the host's request, which go
        there too. ``heads``: the commits that branches of the remote were at a moment ago, by name; if the status
        branch's commit is in the cache, the first try builds on it without a fetch. ``expected``: the documents of this
        host's report that may be on the branch; None: any.

        Raises ReportError if the branch refuses, cannot be reached, or was too busy for ``deadline_s`` seconds; then no
        report was published. Raises Displaced for a report of this host that is not ``expected``.
        """
        seen = heads.get(self.branch)
        known = {blob_id(document) for document in expected or ()}

        def push(branch: Branch, tip: str | None) -> str:
            own = branch.files(tip, report_path(reports[-1].report.host)) if reports and expected is not None else ()
            if any(file.object_id not in known for file in own):
                raise Displaced
            more = asking.changes(_requests(branch, tip, asking.host)) if asking is not None else {}
            if render is not None and reports:
                more[PAGE] = render(_with_own(found_on(branch, tip), reports))
            commits = [_commit(signed) for signed in reports]
            if asking is not None and more and not commits:
                at = min(asking.at, LATEST_DATE)
                commits = [NewCommit(f"{asking.host}: asks to be admitted", asking.host, at, {})]
            if not commits:
                return tip or ""
            commits[-1] = replace(commits[-1], files={**commits[-1].files, **more})
            new = branch.write(tip, commits)
            branch.push(new)
            return new

        def attempt(branch: Branch) -> str:
            nonlocal seen
            believed, seen = seen, None
            if believed is not None and branch.is_at(believed):
                # If the branch was deleted since, the server refuses a commit on its old tip, in any words.
                with suppress(ReportError):
                    return push(branch, believed)
            return push(branch, branch.fetch())

        return self._insist(_left_out(render), attempt, deadline_s)

    def withdraw(
        self, host: str, *, at: int, render: Render | None, expected: Collection[bytes], deadline_s: float
    ) -> None:
        """Push one commit that removes the report and the requests of ``host`` whose documents are ``expected``; no
        commit if there are none. ``at``: seconds since the epoch. Raises ReportError."""

        def attempt(branch: Branch) -> None:
            tip, known = branch.fetch(), {blob_id(document) for document in expected}
            found = (*branch.files(tip, report_path(host)), *_requests(branch, tip, host))
            gone = [file.path for file in found if file.object_id in known]
            if not gone:
                return
            files: dict[str, bytes | None] = {path: None for each in gone for path in (each, f"{each}.sig")}
            if render is not None:
                files[PAGE] = render([each for each in found_on(branch, tip) if each.path not in gone])
            branch.push(branch.write(tip, [NewCommit(f"{host}: withdrawn", host, min(at, LATEST_DATE), files)]))

        self._insist(_left_out(render), attempt, deadline_s)

    def read(self, deadline_s: float) -> tuple[RawDocument, ...]:
        """All reports on the branch, not judged. Raises ReportError."""
        return self._insist(WITHOUT_GIANTS, lambda branch: found_on(branch, branch.fetch()), deadline_s)

    def requests(self, deadline_s: float, host: str | None = None) -> Requests:
        """The requests to be admitted, or to be admitted as ``host``, not judged. Raises ReportError."""
        return self._insist(WITHOUT_GIANTS, lambda branch: requests_on(branch, branch.fetch(), host), deadline_s)

    def _insist(self, leave_out: str, attempt: Callable[[Branch], T], deadline_s: float) -> T:
        """The result of ``attempt``, which is called again after a wait if others were quicker, and once more if the
        cache was damaged. Raises ReportError."""
        deadline = time.monotonic() + deadline_s
        bound = BACKOFF_FIRST_S
        busy: ReportError | None = None
        repaired = False
        while True:
            try:
                return attempt(self._cache(leave_out, deadline))
            except Contended as lost:
                busy = ReportError(
                    f"{self.remote}: too busy for {deadline_s:.0f} s: {lost}",
                    hint="with many hosts lower status.pushes_per_minute; an unsent report waits in the spool",
                    kind=ProblemKind.STATUS_BUSY,
                )
                wait = random.uniform(0, bound)  # noqa: S311 (spreads load, protects nothing)
                if time.monotonic() + wait >= deadline:
                    raise busy from lost
                time.sleep(wait)
                bound = min(2 * bound, BACKOFF_MOST_S)
            except ReportError as error:
                if busy is None or error.kind is not ProblemKind.TIMEOUT:
                    raise
                # The time is over because others were quicker before.
                raise busy from error
            except DamagedError as damage:
                if repaired:
                    raise ReportError(
                        f"{self.remote}: what is on the branch {self.branch} cannot be built upon: {damage}",
                        hint="delete the branch; every host writes its report anew",
                        kind=ProblemKind.STATUS_DAMAGED,
                    ) from damage
                repaired = True

    def _cache(self, leave_out: str, deadline: float) -> Branch:
        """The cache for the filter ``leave_out``. The cache of another filter lacks other objects, so it is removed."""
        folder = self.repo / leave_out.replace(":", "-").replace("=", "-")
        if not folder.is_dir():
            discard(self.repo)
        return Branch(folder, self.remote, self.access, self.branch, leave_out, deadline)


def _left_out(render: Render | None) -> str:
    return WITHOUT_REPORTS if render is None else WITHOUT_GIANTS


def _requests(branch: Branch, commit: str | None, host: str) -> list[BranchFile]:
    """The requests for the name ``host``, and their signatures."""
    files = branch.files(commit, request_folder(host))
    return [file for file in files if requested_host(file.path.removesuffix(".sig")) == host]


def _commit(signed: Signed) -> NewCommit:
    report = signed.report
    return NewCommit(
        message=f"{report.host}: {report.phase.value}",
        author=report.host,
        at=min(report.at, LATEST_DATE),
        files={report_path(report.host): signed.document, signature_path(report.host): signed.signature},
    )


def _with_own(others: Sequence[RawDocument], reports: Sequence[Signed]) -> tuple[RawDocument, ...]:
    found = {other.path: other for other in others}
    for signed in reports:
        path = report_path(signed.report.host)
        found[path] = RawDocument(path, signed.document, signed.signature)
    return tuple(found[path] for path in sorted(found))
