"""The requests below ``requests/`` on the status branch, read and judged.

Everybody who may push can put anything there. So no function here raises an error for the content of a document: a
wrong one becomes a ``JudgedRequest`` that tells why, and everything is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.codec import from_plain, plain_json
from agent.domain.one_time_code import OneTimeCode
from agent.domain.request import (
    REQUEST_LIMIT,
    REQUEST_NAMESPACE,
    REQUESTS,
    Request,
    request_folder,
    request_path,
    requested_host,
)
from agent.domain.status import RawDocument
from agent.domain.text import printable
from agent.errors import HostwrightError, TrustError
from agent.fleet.reader import documents, read_documents
from agent.host.identity import PublicIdentity
from agent.system import sshsig
from agent.system.git_branch import Branch

REQUESTS_MOST = 1000
"""Requests that one reader takes: a person has to look at each."""
REQUESTS_OF_ONE_MOST = 10_000
"""Requests for one name that are read, to find the one that a proof fits: some 80 MB."""


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests that were read. ``left_out``: the number of those that were not, because there are too many."""

    found: tuple[RawDocument, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class JudgedRequest:
    """A judged request. ``request``: None if it cannot be believed, for the reason ``why``. ``known``: the identity
    with which the host is admitted already. ``vouched``: True if the key of that identity vouches for the new keys, or
    is the same."""

    host: str
    path: str
    request: Request | None
    why: str = ""
    known: PublicIdentity | None = None
    vouched: bool = False

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that asks; empty if the request cannot be believed."""
        return self.request.fingerprint if self.request is not None else ""

    @property
    def admitted(self) -> bool:
        """True if the host is admitted already with just these keys."""
        known, request = self.known, self.request
        return known is not None and request is not None and (known.key, known.age) == (request.ssh, request.age)

    def proved_by(self, code: OneTimeCode) -> bool:
        """True if the writer of the request had the code."""
        return self.request is not None and code.sealed(self.request.claim, self.request.seal)


def requests_on(branch: Branch, commit: str | None, host: str | None = None) -> Requests:
    """The requests of a commit that is in the cache, those at the likeliest paths first; with ``host`` those for its
    name alone. Raises only what ``Branch`` raises."""
    folder, most = (REQUESTS, REQUESTS_MOST) if host is None else (request_folder(host), REQUESTS_OF_ONE_MOST)
    files = {file.path: file for file in branch.files(commit, folder)}
    paths = [path for path in documents(files) if host is None or requested_host(path) == host]
    taken = sorted(paths, key=_unlikely)[:most]
    return Requests(read_documents(branch, files, taken, REQUEST_LIMIT), len(paths) - len(taken))


def _unlikely(path: str) -> int:
    host = requested_host(path)
    return 2 if host is None else int(path != request_path(host))


def judge_request(found: RawDocument, identities: Mapping[str, PublicIdentity]) -> JudgedRequest:
    """The judgement of one request. ``identities``: those of the config repo, by host."""
    host = requested_host(found.path)
    if host is None:
        return JudgedRequest(printable(found.path), found.path, None, "not the place of any host's request")
    try:
        request = _read(found, host)
    except ValueError as error:
        return JudgedRequest(host, found.path, None, printable(f"{error}"))
    known = identities.get(host)
    vouched = known is not None and (
        known.key == request.ssh or _signed_by(known.ssh, request.claim, request.voucher.encode())
    )
    return JudgedRequest(host, found.path, request, "", known, vouched)


def _read(found: RawDocument, host: str) -> Request:
    """The request in ``found``. Raises ValueError, also if it is not signed by the key that it asks for."""
    if found.document is None:
        raise ValueError(f"not a file of at most {REQUEST_LIMIT} bytes")
    request = from_plain(plain_json(found.document), Request)
    try:
        public = PublicIdentity.parse(request.lines, "its keys")
    except HostwrightError as error:
        raise ValueError(error.message) from None
    if request.host != host:
        raise ValueError(f"it is for another host, {request.host}")
    if found.path not in (request_path(host), request_path(host, request.ssh)):
        raise ValueError("not the place of a request for its key")
    if request.fingerprint != public.fingerprint:
        raise ValueError("its fingerprint is not that of its key")
    if not _signed_by(public.ssh, found.document, found.signature or b""):
        raise ValueError("not signed by the key that it asks for")
    return request


def _signed_by(line: str, message: bytes, signature: bytes) -> bool:
    try:
        sshsig.verify(line, message, signature, REQUEST_NAMESPACE)
    except TrustError:
        return False
    return True
