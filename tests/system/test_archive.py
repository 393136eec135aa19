"""Archives, honest and hostile. Every hostile one is unpacked beside files that it would like to reach, and nothing
outside its folder may be another afterwards."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.system.archive import HONEST, ArchiveError, Limits, Member, Type, located, members, unpack
from agent.system.safe_open import UnsafePath
from tests.deploys.commit import snapshot

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "tar": lambda data: data,
    "tar.gz": gzip.compress,
    "tgz": gzip.compress,
    "tar.xz": lzma.compress,
    "tar.bz2": bz2.compress,
    "tar.zst": zstd.compress,
    "tzst": lambda data: zstd.compress(data[:700]) + zstd.compress(data[700:]),
}


def entry(name: str, content: bytes = b"", *, mode: int = 0o644, **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info, content


def special(name: str, kind: bytes, target: str = "", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=kind, linkname=target, **more)


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.SYMTYPE, target)


def hard(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return special(name, tarfile.LNKTYPE, target)


def tar(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def zipped(*entries: tuple[str, int, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """``mode`` 0: made on a system that has none."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = mode << 16, 3 if mode else 0
            archive.writestr(info, content, compression)
    return written.getvalue()


TOOL = (
    entry("tool-1/", type=tarfile.DIRTYPE, mode=0o700),
    entry("./tool-1/bin/tool", b"#!/bin/sh\n", mode=0o750),
    entry("tool-1/README", b"read me", mode=0o600),
    link("tool-1/t", "bin/tool"),
    hard("tool-1/same", "tool-1/bin/tool"),
)
UNPACKED = {
    "tool-1": ("directory", 0o755, None),
    "tool-1/bin": ("directory", 0o755, None),
    "tool-1/bin/tool": ("file", 0o755, b"#!/bin/sh\n"),
    "tool-1/README": ("file", 0o644, b"read me"),
    "tool-1/t": ("link", 0, "bin/tool"),
    "tool-1/same": ("file", 0o755, b"#!/bin/sh\n"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """``inside`` is where archives go, between neighbours that nothing may change."""

    around: Path

    @property
    def inside(self) -> Path:
        return self.around / "inside"

    def unpack(self, name: str, content: bytes, limits: Limits = HONEST) -> dict[str, tuple[str, int, object]]:
        archive = self.around / "archive"
        archive.write_bytes(content)
        before = self.outside()
        try:
            unpack(archive, name, self.inside, limits=limits)
        finally:
            assert self.outside() == before, "something outside is another"
        return snapshot(self.inside)

    def outside(self) -> dict[str, tuple[str, int, object]]:
        return {path: what for path, what in snapshot(self.around).items() if not path.startswith("inside/")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "inside").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "victim").write_text("untouched")
    old = os.umask(0o077)
    yield Place(tmp_path)
    os.umask(old)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_tar_archive_is_unpacked_with_plain_modes(place: Place, suffix: str) -> None:
    assert place.unpack(f"tool-1.{suffix}", COMPRESSED[suffix](tar(*TOOL))) == UNPACKED


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_is_read(place: Place, format: int) -> None:
    long = "d" * 90 + "/" + "f" * 90
    assert long in place.unpack("a.tar", tar(entry(long, b"x"), format=format))


def test_a_zip_archive_is_unpacked_with_plain_modes(place: Place) -> None:
    content = zipped(
        ("tool-1/", 0o40700, b""),
        ("tool-1/bin/tool", 0o100750, b"#!/bin/sh\n"),
        ("tool-1/README", 0, b"read me"),
        ("tool-1/t", 0o120777, b"bin/tool"),
    )
    found = place.unpack("tool.zip", content)
    assert found == {path: what for path, what in UNPACKED.items() if path != "tool-1/same"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("jq-linux", b"\x7fELF"),
        ("jq-linux.gz", gzip.compress(b"\x7fELF", mtime=0)),
        ("jq-linux.zst", zstd.compress(b"\x7fELF")),
    ],
)
def test_a_single_program_is_itself(place: Place, name: str, content: bytes) -> None:
    assert place.unpack(name, content) == {"jq-linux": ("file", 0o755, b"\x7fELF")}
    assert members(place.around / "archive", name) == (Member("jq-linux", Type.FILE, 4, executable=True),)


def test_the_list_of_members_is_what_is_unpacked(place: Place) -> None:
    place.unpack("a.tar", tar(*TOOL))
    listed = {member.path: member for member in members(place.around / "archive", "a.tar")}
    assert listed["tool-1/bin/tool"] == Member("tool-1/bin/tool", Type.FILE, 10, executable=True)
    assert listed["tool-1/t"].target == "bin/tool"


def test_hard_links_stay_one_file(place: Place) -> None:
    place.unpack("a.tar", tar(*TOOL))
    assert (place.inside / "tool-1/same").stat().st_ino == (place.inside / "tool-1/bin/tool").stat().st_ino


def test_a_sparse_file_is_filled_in(place: Place) -> None:
    source = place.around / "sparse"
    with source.open("wb") as file:
        file.seek(1_000_000)
        file.write(b"end")
    content = place.around / "gnu.tar"
    done = os.system(f"tar --sparse -C {place.around} -cf {content} sparse")  # the real thing writes the real format
    assert done == 0
    kind, _, written = place.unpack("gnu.tar", content.read_bytes())["sparse"]
    assert (kind, written) == ("file", source.read_bytes())


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, 0o777])
def test_no_mode_but_the_plain_ones_is_taken_over(place: Place, mode: int) -> None:
    assert place.unpack("a.tar", tar(entry("x", b"", mode=mode)))["x"] == ("file", 0o755, b"")


def test_the_owner_is_whoever_unpacks(place: Place) -> None:
    place.unpack("a.tar", tar(entry("x", b"", uid=1234, gid=1234)))
    assert (place.inside / "x").stat().st_uid == os.geteuid()


ELSEWHERE = ".." + "/victim"
HOSTILE_TARS: dict[str, tuple[Sequence[tuple[tarfile.TarInfo, bytes]], str]] = {
    "absolute": ([entry("/tmp/hostwright-hostile", b"x")], "absolute path"),
    "upwards": ([entry(ELSEWHERE, b"x")], "leads out"),
    "upwards after a folder": ([entry("a/../../victim", b"x")], "leads out"),
    "a folder upwards": ([entry("..", type=tarfile.DIRTYPE)], "leads out"),
    "nameless": ([entry("./", b"x")], "without a name"),
    "absolute link": ([link("a", "/etc/passwd")], "leads out of it, to /etc/passwd"),
    "link upwards": ([link("a", ELSEWHERE)], "leads out"),
    "link upwards from a folder": ([link("d/a", "../../victim")], "leads out"),
    "link through a link": ([link("d/up", ".."), link("d/e", "up/../victim")], "leads out"),
    "link through a later link": ([link("e", "d/up/../victim"), link("d/up", "..")], "leads out"),
    "link in a circle": ([link("a", "b"), link("b", "a")], "circle"),
    "write through a link": ([link("a", "."), entry("a/x", b"x")], "leads through a"),
    "write through a link to the outside": ([link("a", "../folder"), entry("a/x", b"x")], "leads through a"),
    "folder, then link, in one place": ([entry("a/x", b""), link("a", "../folder")], "twice"),
    "link, then file, in one place": ([link("a", "../victim"), entry("a", b"x")], "twice"),
    "file through a file": ([entry("a", b""), entry("a/b", b"")], "leads through a"),
    "hard link out": ([hard("a", "../victim")], "leads out"),
    "absolute hard link": ([hard("a", "/etc/passwd")], "absolute path"),
    "hard link to a link": ([link("a", "b"), hard("c", "a"), entry("b", b"")], "no file before it"),
    "hard link to nothing": ([hard("a", "b")], "no file before it"),
    "device": ([special("null", tarfile.CHRTYPE, devmajor=1, devminor=3)], "a device"),
    "disk": ([special("sda", tarfile.BLKTYPE, devmajor=8)], "a device"),
    "fifo": ([special("fifo", tarfile.FIFOTYPE)], "a FIFO"),
    "unheard of": ([special("x", b"Z")], "unheard of"),
    "duplicate": ([entry("a", b"1"), entry("./a", b"2")], "twice"),
    "name of another coding": ([entry("a\udcff", b"")], "not UTF-8"),
    "too long": ([entry("d/" * 600 + "x", b"")], "no path that can be written"),
}


@pytest.mark.parametrize("case", HOSTILE_TARS)
def test_a_hostile_tar_is_refused_and_reaches_nothing(place: Place, case: str) -> None:
    entries, said = HOSTILE_TARS[case]
    content = tar(*entries)
    with pytest.raises(ArchiveError, match=said):
        place.unpack("a.tar.gz", gzip.compress(content, mtime=0))
    with pytest.raises(ArchiveError, match=said):
        members(place.around / "archive", "a.tar.gz")


HOSTILE_ZIPS: dict[str, tuple[bytes, str]] = {
    "absolute": (zipped(("/tmp/hostwright-hostile", 0, b"x")), "absolute path"),
    "upwards": (zipped((ELSEWHERE, 0, b"x")), "leads out"),
    "link upwards": (zipped(("a", stat.S_IFLNK | 0o777, b"../victim")), "leads out"),
    "write through a link": (zipped(("a", stat.S_IFLNK, b"../folder"), ("a/x", 0, b"x")), "leads through a"),
    "endless link": (zipped(("a", stat.S_IFLNK, b"x" * 10**6)), "a link of 1000000 bytes"),
    "device": (zipped(("a", stat.S_IFBLK | 0o644, b"")), "a device"),
    "fifo": (zipped(("a", stat.S_IFIFO | 0o644, b"")), "a FIFO"),
}


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_and_reaches_nothing(place: Place, case: str) -> None:
    content, said = HOSTILE_ZIPS[case]
    with pytest.raises(ArchiveError, match=said):
        place.unpack("a.zip", content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_one_name_twice_is_refused(place: Place) -> None:
    with pytest.raises(ArchiveError, match="twice"):
        place.unpack("a.zip", zipped(("a", 0, b"1"), ("a", 0, b"2")))


SMALL = Limits(members=10, floor=100_000, ratio=10, header=300_000)
ZEROS = bytes(2_000_000)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tar.gz", gzip.compress(tar(entry("zeros", ZEROS)))),
        ("a.tar.zst", zstd.compress(tar(entry("zeros", ZEROS)))),
        ("a.tar.xz", lzma.compress(tar(*(entry(f"zeros{n}", ZEROS[:90_000]) for n in range(9))))),
        ("a.zip", zipped(("zeros", 0, ZEROS))),
        ("zeros.gz", gzip.compress(ZEROS, mtime=0)),
        ("zeros.bz2", bz2.compress(ZEROS)),
    ],
)
def test_what_becomes_far_larger_than_it_is_gets_refused(place: Place, name: str, content: bytes) -> None:
    with pytest.raises(ArchiveError, match="larger than anything honest"):
        place.unpack(name, content, SMALL)
    assert sum(path.stat().st_size for path in place.inside.rglob("*")) < 600_000


def test_a_sparse_file_counts_as_large_as_it_says(place: Place) -> None:
    (place.around / "sparse").touch()
    os.truncate(place.around / "sparse", 10**12)
    assert os.system(f"tar --sparse -C {place.around} -cf {place.around}/gnu.tar sparse") == 0
    (place.around / "sparse").unlink()
    with pytest.raises(ArchiveError, match="larger than anything honest"):
        place.unpack("gnu.tar", (place.around / "gnu.tar").read_bytes())


def test_a_huge_declared_size_is_refused_before_it_is_written(place: Place) -> None:
    info, _ = entry("huge")
    info.size = 10**15
    with pytest.raises(ArchiveError, match="larger than anything honest"):
        place.unpack("a.tar", info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_a_description_that_would_fill_the_memory_is_refused(place: Place) -> None:
    with pytest.raises(ArchiveError, match="description"):
        place.unpack("a.tar", tar(entry("a", b"", pax_headers={"comment": "x" * 10**6})), SMALL)


def test_too_many_files_are_refused(place: Place) -> None:
    with pytest.raises(ArchiveError, match="more than 10 files"):
        place.unpack("a.tar", tar(*(entry(f"f{n}") for n in range(11))), SMALL)


def test_a_zip_is_refused_for_what_it_holds_and_not_for_what_it_says_that_it_holds(place: Place) -> None:
    content = zipped(("a", 0, b""))
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    directory, record = content[start:end] * 11, bytearray(content[end:])
    struct.pack_into("<HHLL", record, 8, 1, 1, len(directory), start)
    with pytest.raises(ArchiveError, match="more than 10 files"):
        place.unpack("a.zip", content[:start] + directory + record, SMALL)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_that_is_unpacked_without_a_bound_is_refused(place: Place, compression: int) -> None:
    with pytest.raises(ArchiveError, match="compressed in another way"):
        place.unpack("a.zip", zipped(("a", 0, b"x"), compression=compression))


def test_an_xz_that_asks_for_a_gigabyte_of_memory_is_refused(place: Place) -> None:
    content = bytearray(lzma.compress(b"x"))
    size = (content[12] + 1) * 4  # of the block header, which ends in its checksum
    content[content.index(b"\x21\x01", 12) + 2] = 37  # 1.5 GiB
    struct.pack_into("<I", content, 12 + size - 4, zlib.crc32(content[12 : 12 + size - 4]))
    with pytest.raises(ArchiveError, match="Memory usage limit"):
        place.unpack("a.xz", bytes(content))


def test_an_xz_of_several_streams_is_one_file(place: Place) -> None:
    content = lzma.compress(b"one, ") + bytes(4) + lzma.compress(b"two")
    assert place.unpack("a.xz", content)["a"] == ("file", 0o755, b"one, two")


def test_a_cut_xz_is_called_broken(place: Place) -> None:
    with pytest.raises(ArchiveError, match="ends in the middle"):
        place.unpack("a.xz", lzma.compress(os.urandom(50_000))[:-20_000])


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.tar.zst", "a.zip", "a.gz", "a.xz"])
@pytest.mark.parametrize("content", [b"", b"404: no such file" * 99])
def test_what_is_no_archive_is_called_broken(place: Place, name: str, content: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"broken|empty"):
        place.unpack(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tar.gz", gzip.compress(tar(entry("a", os.urandom(50_000))))[:-20_000]),
        ("a.tar.zst", zstd.compress(tar(entry("a", os.urandom(50_000))))[:-20_000]),
        ("a.tar", tar(entry("a", os.urandom(50_000)))[:20_000]),
        ("a.zip", zipped(("a", 0, b"x" * 50), compression=zipfile.ZIP_STORED).replace(b"xxx", b"xyx", 1)),
    ],
)
def test_a_cut_or_damaged_archive_is_called_broken(place: Place, name: str, content: bytes) -> None:
    with pytest.raises(ArchiveError, match="broken"):
        place.unpack(name, content)


def test_a_zip_with_a_password_is_refused(place: Place) -> None:
    content = bytearray(zipped(("a", 0, b"x")))
    content[content.index(b"PK\3\4") + 6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(ArchiveError, match="password"):
        place.unpack("a.zip", bytes(content))


def test_a_link_put_into_the_folder_meanwhile_is_not_followed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two members of an archive somebody swaps a folder for a link to the outside."""
    real = os.fchmod

    def swap(descriptor: int, mode: int) -> None:
        real(descriptor, mode)
        if (place.inside / "d/first").exists():
            (place.inside / "d").rename(place.inside / "moved")
            (place.inside / "d").symlink_to("../folder")

    monkeypatch.setattr(os, "fchmod", swap)
    with pytest.raises(UnsafePath, match="is a link, and is not followed"):
        place.unpack("a.tar", tar(entry("d/first", b"1"), entry("d/second", b"2")))


def test_a_link_put_in_the_place_of_a_file_is_not_followed(place: Place) -> None:
    (place.inside / "a").symlink_to("../victim")
    with pytest.raises(FileExistsError):
        place.unpack("a.tar", tar(entry("a", b"x")))


def test_a_folder_that_is_a_link_is_not_unpacked_into(place: Place) -> None:
    (place.around / "archive").write_bytes(tar(entry("a", b"x")))
    (place.around / "alias").symlink_to("folder")
    with pytest.raises(OSError, match="alias"):
        unpack(place.around / "archive", "a.tar", place.around / "alias")
    assert list((place.around / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "paths", "found"),
    [
        ("bin/rg", ["bin/rg", "README"], "bin/rg"),
        ("rg", ["rg-14-x86_64/rg", "rg-14-x86_64/doc/rg.1"], "rg-14-x86_64/rg"),
        ("rg", ["rg-14-x86_64/bin/rg", "rg-14-x86_64/README"], None),
        ("rg", ["a/rg", "b/rg"], None),
        ("jq", ["jq-linux-amd64"], "jq-linux-amd64"),
    ],
)
def test_a_program_is_found_below_the_common_folder(wanted: str, paths: list[str], found: str | None) -> None:
    assert located(wanted, [Member(path, Type.FILE) for path in paths]) == found
