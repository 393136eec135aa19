"""Archive formats: the bytes of a file read into members, by tarfile and zipfile. Nothing is written."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from agent.domain.stand_in import LOOKED_AT, fetched_stand_in
from agent.system.archive_check import ArchiveError, Content, Limits, Member, MemberCheck, Members, Type

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 256 * 1024

XZ_MEMORY = 256 * 1024**2
"""Bytes. Unpacking what ``xz -9`` made takes 65 MiB; the format allows for gigabytes."""

_ENTRY = b"PK\1\2"
_ENTRY_BYTES = 512
"""The first bytes of a member's description in a zip (APPNOTE.TXT 4.3.12), and the size in bytes that honest
descriptions stay below on average."""

_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions that zipfile unpacks in bounded memory. With any other, it unpacks whatever a block holds at once,
in as much memory as the archive asks for."""


class _Closing(Content, Protocol):
    def close(self) -> None: ...


class _Xz:
    """A reader like ``lzma.LZMAFile`` that refuses streams which ask for more memory than ``XZ_MEMORY``."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = lzma.LZMADecompressor(memlimit=XZ_MEMORY)

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._stream.eof:
                rest = (self._stream.unused_data or self._file.read(CHUNK)).lstrip(b"\0")  # padding between streams
                if not rest:
                    return b""
                self._stream = lzma.LZMADecompressor(memlimit=XZ_MEMORY)
                data = self._stream.decompress(rest, size)
            else:
                more = self._file.read(CHUNK) if self._stream.needs_input else b""
                if not more and self._stream.needs_input:
                    raise EOFError("it ends in the middle")
                data = self._stream.decompress(more, size)
            if data:
                return data

    def close(self) -> None:
        """Do nothing: the caller that opened the file closes it."""


_COMPRESSIONS: Mapping[str, Callable[[IO[bytes]], _Closing]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".xz": _Xz,
    ".bz2": bz2.BZ2File,
    ".zst": zstd.ZstdFile,
}
_SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tbz": ".tar.bz2", ".tbz2": ".tar.bz2", ".tzst": ".tar.zst"}


@contextmanager
def reading(archive: Path, name: str, limits: Limits) -> Iterator[Members]:
    """The members, each with its content, which must be read before the next. An error that a library finds in the
    archive, here or while the members are read, becomes an ArchiveError. Raises OSError of the disk."""
    long = next((name.removesuffix(short) + full for short, full in _SHORT.items() if name.endswith(short)), name)
    stem, dot, suffix = long.rpartition(".")
    compression = _COMPRESSIONS.get(dot + suffix)
    with archive.open("rb") as file, contextlib.ExitStack() as stack:
        size = os.fstat(file.fileno()).st_size
        allowed = limits.bytes_for(size)
        check = MemberCheck(name, limits, allowed)
        if not size:
            raise check.refused("it is empty")
        if meant := fetched_stand_in(file.read(LOOKED_AT)):
            raise ArchiveError(f"{name} {meant.what}", hint=meant.remedy)
        file.seek(0)
        try:
            if suffix == "zip":
                yield check.checked(_zip(file, check))
                return
            raw = stack.enter_context(contextlib.closing(compression(file))) if compression else file
            stream = _Stream(raw, check, allowed)
            inner = stem if compression else long
            yield check.checked(_tar(stream, check) if inner.endswith(".tar") else _single(stream, inner))
        except (*_BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own
            raise check.refused(f"it is broken, or no archive of its kind: {error}") from error


_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    zstd.ZstdError,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,  # by zipfile, for members that are encrypted or compressed in ways that it does not know
)


class _Stream(io.BufferedIOBase):
    """A decompressed stream that can be sought forward. Reading more than ``limit`` bytes, and ``floor`` bytes of
    headers and padding, raises ArchiveError."""

    def __init__(self, raw: Content, check: MemberCheck, limit: int) -> None:
        self._raw = raw
        self._check = check
        self._limit = limit + check.limits.floor  # headers and padding
        self._position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        # tarfile reads the description of a member into memory at once, whatever size the archive claims for it.
        if size is None or size < 0 or size > self._check.limits.header:
            raise self._check.refused("the description of one of its files is too long")
        pieces = []
        while size and (piece := self._raw.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
        if self._position > self._limit:
            raise self._check.refused("it becomes larger than anything honest of its size would")
        return b"".join(pieces)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET or offset < self._position:
            raise self._check.refused("it leads back to where it has been read already")
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position


def _tar(stream: _Stream, check: MemberCheck) -> Members:
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
            path = check.path(info.name)
            if info.isdir():
                yield Member(path, Type.DIRECTORY), None
            elif info.issym():
                yield Member(path, Type.LINK, target=info.linkname), None
            elif info.islnk():
                yield Member(path, Type.SAME, target=check.path(info.linkname)), None
            elif info.isreg():
                yield Member(path, Type.FILE, info.size, bool(info.mode & 0o111)), tar.extractfile(info)
            else:
                raise check.refused(f"{path} is a device, a FIFO or something unheard of")


class _Directory(io.BufferedIOBase):
    """The file of a zip, with a bound for each read. zipfile reads the description of all members into memory at once,
    whatever size the archive claims for it, and makes objects of it that take even more."""

    def __init__(self, file: IO[bytes], check: MemberCheck) -> None:
        self._file = file
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        limit = max(CHUNK, _ENTRY_BYTES * self._check.limits.members)
        wanted = limit + 1 if size is None or size < 0 else size
        data = self._file.read(min(wanted, limit + 1))
        if len(data) > limit or data.count(_ENTRY) > self._check.limits.members:
            raise self._check.refused(f"it holds more than {self._check.limits.members} files")
        return data

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)


def _zip(file: IO[bytes], check: MemberCheck) -> Members:
    with zipfile.ZipFile(_Directory(file, check)) as archive:
        for info in archive.infolist():
            path = check.path(info.filename)
            if info.compress_type not in _BOUNDED:
                raise check.refused(f"{path} is compressed in another way than zips usually are")
            mode = info.external_attr >> 16
            if info.is_dir():
                yield Member(path, Type.DIRECTORY), None
            elif stat.S_ISLNK(mode):
                if info.file_size > check.limits.path:
                    raise check.refused(f"{path} is a link of {info.file_size} bytes")
                yield Member(path, Type.LINK, target=archive.read(info).decode()), None
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise check.refused(f"{path} is a device, a FIFO or something unheard of")
            else:
                with archive.open(info) as content:
                    yield Member(path, Type.FILE, info.file_size, bool(mode & 0o111)), content


def _single(stream: _Stream, name: str) -> Members:
    """The one file of a stream. Its length is unknown before its end, so only the limit of the stream bounds it."""
    yield Member(PurePosixPath(name).name or "file", Type.FILE, executable=True), stream
