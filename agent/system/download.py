"""The download of a URL to a file, whole or not at all.

``https``, ``http`` and ``file``. Size and time are bounded; a transfer that broke off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from agent.domain.pins import Asset
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder
from agent.system.http import MAX_REDIRECTS, Cutoff, open_url, shown

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the bytes of the whole file, None if the server does not say."""

_CHUNK = 64 * 1024
_PASSING = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of a passing trouble (RFC 9110): the download is tried again."""
_LENGTH_DIGITS = 18
"""The most digits of a length in bytes: less than an exabyte."""
_RANGE_REFUSED = 416
_PERMANENT = Consequence.STALL


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of a download. ``stall_s``: seconds without a connection or without a byte. ``total_s``: seconds for all
    attempts together; less than the half hour that a deploy may take. ``attempts``: how many in a row may bring
    nothing. ``pause_s``: seconds before the second of these; each further pause is twice as long.
    """

    stall_s: float = 30.0
    total_s: float = 1200.0
    attempts: int = 4
    pause_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file as it arrived: sha256 in 64 hex digits, size in bytes."""

    sha256: str
    size: int


def _silent(_received: int, _total: int | None) -> None:
    """A progress that tells nobody."""


def download(
    url: str, target: Path, *, limit: int, progress: OnProgress = _silent, patience: Patience = Patience()
) -> Downloaded:
    """Fetch the file at ``url``, at most ``limit`` bytes, as ``target`` (0600, replaced if it is there).

    Nobody else may be able to write to its folder. Raises SourceError for all that the other side can do wrong, OSError
    if the disk here refuses; then ``target`` is as it was.
    """
    part = _part(target)
    discard(part)
    try:
        _Transfer(url, part, limit, None, progress, patience).run()
        found = digest(part)
        _settle(part, target)
    finally:
        discard(part)
    return found


def download_pinned(asset: Asset, target: Path, *, patience: Patience = Patience()) -> None:
    """Fetch exactly the file that ``asset`` pins as ``target`` (0600); a right file that is already there is kept.

    A transfer that broke off goes on where it stopped, also in a later call. A file that does not match is removed.
    Nobody else may be able to write to its folder. Raises SourceError (kind ``pin-mismatch`` for other bytes than are
    pinned), OSError if the disk here refuses.
    """
    wanted = Downloaded(asset.sha256, asset.size)
    if target.exists() and digest(target) == wanted:
        return
    discard(target)
    part = _part(target)
    resumed = part.exists()
    transfer = _Transfer(asset.url, part, asset.size, asset.size, _silent, patience)
    try:
        transfer.run()
        found = digest(part)
        if found != wanted and resumed:
            # The part that an earlier transfer left may belong to another file.
            discard(part)
            transfer.run()
            found = digest(part)
        if found != wanted:
            raise _mismatch(asset, found)
    except SourceError as error:
        if error.consequence is _PERMANENT:
            discard(part)
        raise
    _settle(part, target)


def digest(path: Path) -> Downloaded:
    """The sha256 and the size of a file. Raises OSError."""
    with path.open("rb") as file:
        return Downloaded(hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def file_name(url: str) -> str:
    """The file name in ``url``: the last part of its path; empty if the path ends with a slash."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _settle(part: Path, target: Path) -> None:
    part.replace(target)
    fsync_folder(target.parent)


def _mismatch(asset: Asset, found: Downloaded) -> SourceError:
    return SourceError(
        f"{shown(asset.url)} is not what lock.yaml pins: it has sha256 {found.sha256} ({found.size} bytes),"
        f" pinned is {asset.sha256} ({asset.size} bytes)",
        hint="find out why it changed; if that is right, `hostwright lock` in the config repo pins it anew",
        kind=ProblemKind.PIN_MISMATCH,
        consequence=_PERMANENT,
    )


class _Interrupted(Exception):
    """Another attempt may bring the rest."""


@dataclass(slots=True)
class _Transfer:
    """One URL on its way into one file. ``size``: bytes of the file, None if they are not known beforehand.
    ``validator``: the ETag or date by which the server recognises the file of which a part is here."""

    _url: str
    _part: Path
    _limit: int
    _size: int | None
    _progress: OnProgress
    _patience: Patience
    _validator: str = ""

    def run(self) -> None:
        """Fetch the file, with as many attempts as it takes. Raises SourceError, OSError; then the part that came stays
        in the file."""
        parts = urlsplit(self._url)
        if parts.username is not None:
            raise self._failed("has a name or password in it; nothing here sends those", _PERMANENT)
        if parts.scheme == "file":
            return self._copy()
        if parts.scheme not in ("https", "http"):
            raise self._failed(f"{parts.scheme or 'nothing'} is no way to download; use https", _PERMANENT)
        deadline = time.monotonic() + self._patience.total_s
        fruitless = 0
        while True:
            before = self._received()
            try:
                return self._attempt(deadline)
            except _Interrupted as interruption:
                fruitless = 0 if self._received() > before else fruitless + 1
                pause = self._patience.pause_s * 2 ** max(0, fruitless - 1)
                if time.monotonic() + pause >= deadline:
                    waited = f"{self._patience.total_s:.0f} s"
                    raise self._failed(f"not done after {waited}, {self._received()} bytes came") from interruption
                if fruitless >= self._patience.attempts:
                    raise self._failed(f"{interruption} ({fruitless} attempts)") from interruption
                time.sleep(pause)

    def _attempt(self, deadline: float) -> None:
        received = self._received()
        headers = {"Accept-Encoding": "identity"}
        # Only a server that recognises the part may send the rest, unless the file is pinned and so checked at the end.
        if received and (self._validator or self._size is not None):
            headers["Range"] = f"bytes={received}-"
            if self._validator:
                headers["If-Range"] = self._validator
        with Cutoff(deadline) as cutoff, self._opened(headers, cutoff) as response:
            total = self._judge(response, received)
            with self._open(append=response.status == http.HTTPStatus.PARTIAL_CONTENT) as file:
                while chunk := self._read(response):
                    self._take(file, chunk, total)
            if cutoff.ended or (total is not None and self._received() < total):
                raise _Interrupted("the connection ended early")

    @contextmanager
    def _opened(self, headers: Mapping[str, str], cutoff: Cutoff) -> Iterator[http.client.HTTPResponse]:
        with _interruptions():
            try:
                response = open_url(self._url, headers, cutoff, self._patience.stall_s)
            except HTTPError as error:
                error.close()
                raise self._refusal(error.code) from error
            except http.client.InvalidURL as error:
                raise self._failed(f"is no URL: {error}", _PERMANENT) from error
            except URLError as error:
                if isinstance(error.reason, ssl.SSLCertVerificationError):
                    raise self._failed(f"its certificate is refused: {error.reason.verify_message}") from error
                raise
        with response:
            yield response

    def _refusal(self, status: int) -> Exception:
        """The error for an answer with an HTTP ``status`` that is no success."""
        if status == _RANGE_REFUSED and self._received():
            discard(self._part)
            return _Interrupted("it has no such part")
        if status in _PASSING:
            return _Interrupted(f"the server answers {status} {http.HTTPStatus(status).phrase}")
        if 300 <= status < 400:
            return self._failed(f"more than {MAX_REDIRECTS} redirects, or one to nowhere")
        phrase = http.HTTPStatus(status).phrase if status in list(http.HTTPStatus) else ""
        return self._failed(f"the server answers {status} {phrase}".rstrip())

    def _judge(self, response: http.client.HTTPResponse, received: int) -> int | None:
        """The length of the whole file in bytes, None if it is unknown. Raises _Interrupted for another part than was
        asked for, SourceError for a file that is compressed or too long."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._failed("the server sends it compressed, which was not asked for", _PERMANENT)
        length = response.headers.get("Content-Length", "")
        total = _number(length)
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            start, _, rest = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")
            if start != f"{received}":
                discard(self._part)
                raise _Interrupted("the server sends another part than was asked for")
            whole = rest.rpartition("/")[2]
            total = _number(whole)
        tag = response.headers.get("ETag", "")
        self._validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        self._refuse_beyond(total or 0)
        return self._size if total is None else total

    def _take(self, file: IO[bytes], chunk: bytes, total: int | None) -> None:
        file.write(chunk)
        received = file.tell()
        self._refuse_beyond(received)
        self._progress(received, total)

    def _refuse_beyond(self, size: int) -> None:
        if size > self._limit:
            allowed = "pinned are" if self._size is not None else "allowed are"
            reason = f"it is longer than it may be: {allowed} {self._limit} bytes"
            raise SourceError(
                f"{shown(self._url)}: {reason}",
                kind=ProblemKind.PIN_MISMATCH if self._size is not None else ProblemKind.DOWNLOAD_FAILED,
                consequence=_PERMANENT,
            )

    def _copy(self) -> None:
        """Copy the file that a ``file:`` URL names. Raises SourceError, OSError."""
        parts = urlsplit(self._url)
        if parts.netloc not in ("", "localhost"):
            raise self._failed("a file: URL begins with three slashes", _PERMANENT)
        discard(self._part)
        try:
            descriptor = os.open(unquote(parts.path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed(error.strerror or f"{error}") from error
        with os.fdopen(descriptor, "rb") as source:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._failed("is no regular file")
            self._refuse_beyond(status.st_size)
            with self._open(append=False) as file:
                while chunk := source.read(_CHUNK):
                    self._take(file, chunk, status.st_size)

    @contextmanager
    def _open(self, *, append: bool) -> Iterator[BinaryIO]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        with os.fdopen(os.open(self._part, flags, 0o600), "ab" if append else "wb") as file:
            try:
                yield file
            finally:
                file.flush()
                os.fsync(file.fileno())

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        with _interruptions():
            return response.read1(_CHUNK)

    def _received(self) -> int:
        try:
            return self._part.lstat().st_size
        except FileNotFoundError:
            return 0

    def _failed(self, reason: str, consequence: Consequence = Consequence.RETRY) -> SourceError:
        return SourceError(
            f"{shown(self._url)}: {reason}",
            hint="" if consequence is _PERMANENT else "is it there, and can this machine reach it?",
            kind=ProblemKind.DOWNLOAD_FAILED,
            consequence=consequence,
        )


def _number(text: str) -> int | None:
    """The length that a server sends as ``text``; None if that is no length. (int() refuses thousands of digits.)"""
    return int(text) if text.isdecimal() and len(text) <= _LENGTH_DIGITS else None


@contextmanager
def _interruptions() -> Iterator[None]:
    """Raise an error of the connection as _Interrupted."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _Interrupted(f"{reason}" or type(reason).__name__) from error
