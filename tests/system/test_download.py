from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.domain.pins import Asset
from agent.errors import Consequence, SourceError
from agent.system.download import Downloaded, Patience, digest, download, download_pinned, file_name
from tests.gitserver import silent_server
from tests.system.file_server import FileServer, file_server, self_signed

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(stall_s=20, total_s=60, attempts=3, pause_s=0.01)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        served.files["/tool"] = CONTENT
        yield served


@pytest.fixture
def pinned(server: FileServer) -> Asset:
    return Asset(server.url("/tool"), SHA256, len(CONTENT))


def fetch(asset: Asset, target: Path, patience: Patience = QUICK) -> None:
    download_pinned(asset, target, patience=patience)


def left(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir()]


def test_a_file_comes_whole_and_private(server: FileServer, tmp_path: Path) -> None:
    found = download(server.url("/tool"), tmp_path / "got", limit=10**6)
    assert found == Downloaded(SHA256, len(CONTENT)) == digest(tmp_path / "got")
    assert stat.S_IMODE((tmp_path / "got").stat().st_mode) == 0o600
    assert left(tmp_path / "got") == ["got"]


def test_progress_ends_at_the_whole(server: FileServer, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(server.url("/tool"), tmp_path / "got", limit=10**6, progress=lambda *now: told.append(now))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_pinned_file_that_is_there_is_not_fetched_again(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    (tmp_path / "got").write_bytes(CONTENT)
    fetch(pinned, tmp_path / "got")
    assert server.requests == []


def test_a_file_in_its_place_that_is_another_is_replaced(pinned: Asset, tmp_path: Path) -> None:
    (tmp_path / "got").write_bytes(CONTENT[:-1] + b"!")
    fetch(pinned, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_cut_connection_goes_on_where_it_stopped(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.cuts = [50_000, 20_000]
    fetch(pinned, tmp_path / "got")
    assert [wanted for _, wanted in server.requests] == ["", "bytes=50000-", "bytes=70000-"]


def test_what_an_earlier_run_left_is_gone_on_with(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    (tmp_path / "got.part").write_bytes(CONTENT[:1000])
    fetch(pinned, tmp_path / "got")
    assert server.requests == [("/tool", "bytes=1000-")]


@pytest.mark.parametrize("old", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_what_was_left_of_another_file_is_thrown_away(
    server: FileServer, pinned: Asset, tmp_path: Path, old: bytes
) -> None:
    (tmp_path / "got.part").write_bytes(old)
    fetch(pinned, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_of_it_again(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [50_000]
    fetch(pinned, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_an_unknown_file_is_only_gone_on_with_where_the_server_recognises_it(
    server: FileServer, tmp_path: Path
) -> None:
    server.cuts = [50_000]
    download(server.url("/tool"), tmp_path / "got", limit=10**6, patience=QUICK)
    server.cuts, server.headers = [50_000], {"ETag": '"v1"'}
    download(server.url("/tool"), tmp_path / "got", limit=10**6, patience=QUICK)
    assert [wanted for _, wanted in server.requests] == ["", "", "", "bytes=50000-"]


def test_other_bytes_than_pinned_are_refused_with_both_digests(
    server: FileServer, pinned: Asset, tmp_path: Path
) -> None:
    server.files["/tool"] = other = CONTENT[::-1]
    with pytest.raises(SourceError) as refused:
        fetch(pinned, tmp_path / "got")
    assert refused.value.kind == "pin-mismatch"
    assert hashlib.sha256(other).hexdigest() in refused.value.message
    assert SHA256 in refused.value.message
    assert left(tmp_path / "got") == []


@pytest.mark.parametrize("length", [True, False])
def test_more_than_pinned_is_cut_off(server: FileServer, pinned: Asset, tmp_path: Path, length: bool) -> None:
    server.files["/tool"], server.length = CONTENT + bytes(10**7), length
    with pytest.raises(SourceError, match="longer than it may be"):
        fetch(pinned, tmp_path / "got")
    assert left(tmp_path / "got") == []


def test_a_length_of_thousands_of_digits_counts_as_none(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.length, server.headers["Content-Length"] = False, "1" * 5000
    fetch(pinned, tmp_path / "got")
    server.headers.clear()
    server.cuts, server.total = [5000], "9" * 5000
    fetch(pinned, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == CONTENT


def test_a_failure_that_may_pass_is_tried_again(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.statuses = [503, 500]
    fetch(pinned, tmp_path / "got")
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, 3), (599, 1)])
def test_one_that_does_not_pass_says_what_the_server_said(
    server: FileServer, pinned: Asset, tmp_path: Path, status: int, attempts: int
) -> None:
    server.statuses = [status] * 9
    with pytest.raises(SourceError, match=f"the server answers {status}") as failed:
        fetch(pinned, tmp_path / "got")
    assert failed.value.consequence is Consequence.RETRY
    assert len(server.requests) == attempts


def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with silent_server() as port, pytest.raises(SourceError, match="timed out"):
        fetch(
            Asset(f"http://127.0.0.1:{port}/x", SHA256, 1),
            tmp_path / "got",
            Patience(stall_s=0.1, attempts=2, pause_s=0.01),
        )


@pytest.mark.parametrize("length", [True, False])
def test_a_trickle_ends_in_time(server: FileServer, tmp_path: Path, length: bool) -> None:
    server.pause_s, server.length = 0.2, length
    all_s = len(CONTENT) // 1024 * server.pause_s
    begun = time.monotonic()
    with pytest.raises(SourceError, match="not done after"):
        download(server.url("/tool"), tmp_path / "got", limit=10**6, patience=Patience(total_s=0.5, pause_s=0.01))
    assert time.monotonic() - begun < all_s


def test_a_redirect_is_followed_and_its_secrets_are_not_told(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.redirects["/latest"] = "/tool?signature=hush"
    with pytest.raises(SourceError) as failed:
        fetch(Asset(server.url("/latest?token=hush"), SHA256, len(CONTENT)), tmp_path / "got")
    assert "hush" not in failed.value.message
    server.files["/tool?signature=hush"] = CONTENT
    fetch(Asset(server.url("/latest"), SHA256, len(CONTENT)), tmp_path / "got")


@pytest.mark.parametrize("target", ["/round", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_round_and_round_or_out_of_http_is_refused(server: FileServer, tmp_path: Path, target: str) -> None:
    server.redirects["/round"] = target
    with pytest.raises(SourceError, match="redirect"):
        fetch(Asset(server.url("/round"), SHA256, len(CONTENT)), tmp_path / "got")


def test_https_is_not_left_for_http(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}")
    with file_server(certificate) as safe:
        safe.files["/tool"] = CONTENT
        safe.redirects = {"/down": server.url("/tool"), "/aside": "/tool"}
        server.redirects["/up"] = safe.url("/tool")
        for url in (safe.url("/tool"), safe.url("/aside"), server.url("/up")):
            assert download(url, tmp_path / "got", limit=10**6).sha256 == SHA256
        with pytest.raises(SourceError, match=r"redirects to http://.*, which is not followed"):
            download(safe.url("/down"), tmp_path / "got", limit=10**6)


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path) -> None:
    with (
        file_server(self_signed(tmp_path / "server.pem")) as unknown,
        pytest.raises(SourceError, match="certificate is refused: self-signed"),
    ):
        download(unknown.url("/tool"), tmp_path / "got", limit=1, patience=Patience(pause_s=60))


def test_an_answer_in_another_coding_is_refused(server: FileServer, pinned: Asset, tmp_path: Path) -> None:
    server.headers["Content-Encoding"] = "gzip"
    with pytest.raises(SourceError, match="compressed"):
        fetch(pinned, tmp_path / "got")


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "")
    server.files["http://example.org/tool"] = CONTENT
    fetch(Asset("http://example.org/tool", SHA256, len(CONTENT)), tmp_path / "got")


def test_a_file_url_is_copied(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(CONTENT)
    fetch(Asset(f"file://{tmp_path}/a%20file", SHA256, len(CONTENT)), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_file_url_waits_for_no_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SourceError, match="no regular file"):
        download(f"file://{tmp_path}/fifo", tmp_path / "got", limit=1)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.org/x", "use https"),
        ("tool.tar.gz", "use https"),
        ("https://ann:hush@example.org/x", "name or password"),
        ("file://example.org/x", "three slashes"),
        ("http://127.0.0.1:1/x y", "no URL"),
    ],
)
def test_what_is_no_way_to_download_is_refused(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as refused:
        download(url, tmp_path / "got", limit=1, patience=QUICK)
    assert "hush" not in refused.value.message
    assert refused.value.consequence is Consequence.STALL


def test_a_disk_that_is_full_is_no_fault_of_the_servers(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        download(server.url("/tool"), tmp_path / "gone/got", limit=10**6, patience=QUICK)


def test_the_name_of_a_file_is_what_its_path_ends_in() -> None:
    assert file_name("https://example.org/v1/tool%2B1.tar.gz?x=/y") == "tool+1.tar.gz"
