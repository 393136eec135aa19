"""Archives and binaries become pins: downloaded, hashed, looked into."""

from __future__ import annotations

import hashlib

import pytest

from agent.errors import Exit, HostwrightError, InventoryError, SourceError, TrustError
from tests.pinning.desk import Desk

TOOL = "x: {{version: '1', url: '{url}', platforms: {{linux-x86_64: {more}}}, bin: {bin}}}\n"


def ask(desk: Desk, url: str, bin: str = "[rg]", more: str = "") -> None:
    desk.repo.write("tools.yaml", TOOL.format(url=url, bin=bin, more=more))


def refusal(desk: Desk, kind: type[HostwrightError]) -> HostwrightError:
    with pytest.raises(kind) as refused:
        desk.lock()
    assert list(desk.work.iterdir()) == []
    return refused.value


def test_a_download_is_pinned_by_the_bytes_that_came(desk: Desk) -> None:
    ask(desk, desk.archive("rg.tar.gz", {"rg": "#!"}))
    pin = desk.lock().tools["x"]
    content = (desk.shelf / "rg.tar.gz").read_bytes()
    (asset,) = pin.assets.values()
    assert (asset.sha256, asset.size) == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize(
    ("files", "written", "place"),
    [
        (("rg", "README"), "[rg]", "rg"),
        (("rg-1/rg", "rg-1/README"), "[rg]", "rg"),
        (("rg-1/bin/rg", "rg-1/README"), "[rg]", "bin/rg"),
        (("usr/bin/rg", "etc/rg.conf"), "[rg]", "usr/bin/rg"),
        (("rg-1/rg", "rg-1/README"), "{grep: rg}", "rg"),
        (("rg-1/rg", "rg-1/README"), "{rg: 'rg-{{ version }}/rg'}", "rg-1/rg"),
    ],
)
def test_a_command_is_found_and_the_folder_around_all_left_out(
    desk: Desk, files: tuple[str, ...], written: str, place: str
) -> None:
    ask(desk, desk.archive("rg.tar.gz", dict.fromkeys(files, "#!")), bin=written)
    assert list(desk.lock().tools["x"].bin.values()) == [place]


def test_a_single_binary_is_called_like_its_command(desk: Desk) -> None:
    (desk.shelf / "jq-linux-amd64").write_bytes(b"\x7fELF")
    ask(desk, desk.url("jq-linux-amd64"), bin="[jq]")
    assert desk.lock().tools["x"].bin == {"jq": "jq"}


def test_platforms_that_differ_say_each_for_itself_where_their_commands_lie(desk: Desk) -> None:
    desk.archive("x-x86_64.tar.gz", {"a/rg": "", "b": ""})
    desk.archive("x-aarch64.tar.gz", {"c/rg": "", "b": ""})
    url = desk.url("x-{{ arch }}.tar.gz")
    desk.repo.write(
        "tools.yaml",
        f"x: {{version: '1', url: '{url}', platforms: {{linux-x86_64: , linux-aarch64: }}, bin: [rg]}}",
    )
    pin = desk.lock().tools["x"]
    assert (pin.bin, pin.assets["linux-aarch64"].bin, pin.assets["linux-x86_64"].bin) == (
        *({"rg": "c/rg"}, {}, {"rg": "a/rg"}),
    )


@pytest.mark.parametrize(
    ("files", "written", "hint"),
    [
        (("a/rg", "b/rg"), "[rg]", "it holds a/rg, b/rg"),
        (("ripgrep", "README"), "[rg]", "it holds ripgrep"),
        (("x/rg", "x/y"), "{rg: x/rgg}", "it holds x/rg"),
    ],
)
def test_a_command_that_is_not_there_or_there_twice_is_refused_with_what_is(
    desk: Desk, files: tuple[str, ...], written: str, hint: str
) -> None:
    ask(desk, desk.archive("rg.tar.gz", dict.fromkeys(files, "#!")), bin=written)
    refused = refusal(desk, InventoryError)
    assert refused.message.startswith("inventories/demo/tools.yaml:1:1: x: file://")
    assert hint in refused.hint


def test_a_sha256_given_by_the_administrator_must_be_what_came(desk: Desk) -> None:
    url = desk.archive("rg.tar.gz", {"rg": "#!"})
    right = hashlib.sha256((desk.shelf / "rg.tar.gz").read_bytes()).hexdigest()
    ask(desk, url, more=f"{{sha256: '{right}'}}")
    assert desk.lock().tools["x"].assets["linux-x86_64"].sha256 == right
    wrong = "0" * 64
    ask(desk, url, more=f"{{sha256: '{wrong}'}}")
    refused = refusal(desk, TrustError)
    assert (refused.exit, refused.kind) == (Exit.TRUST, "pin-mismatch")
    assert right in refused.message
    assert wrong in refused.message


def test_what_is_not_there_is_a_source_problem(desk: Desk) -> None:
    ask(desk, desk.url("nope.tar.gz"))
    assert refusal(desk, SourceError).exit is Exit.SOURCE


def test_an_archive_that_is_none_is_a_source_problem(desk: Desk) -> None:
    (desk.shelf / "rg.tar.gz").write_bytes(b"<html>not found</html>")
    ask(desk, desk.url("rg.tar.gz"))
    refused = refusal(desk, SourceError)
    assert refused.kind == "archive-refused"
    assert "rg.tar.gz" in refused.message


def test_an_archive_that_would_write_elsewhere_is_not_pinned(desk: Desk) -> None:
    ask(desk, desk.archive("rg.tar.gz", {"../rg": "#!", "rg": "#!"}))
    assert refusal(desk, SourceError).kind == "archive-refused"


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (POINTER, "is a pointer of Git LFS, not the content"),
        ("<!DOCTYPE html>\n<title>Sign in</title>\n", "is a web page, not the file that it is about"),
    ],
)
def test_what_is_sent_in_place_of_a_program_is_refused(desk: Desk, content: str, what: str) -> None:
    (desk.shelf / "rg").write_text(content)
    ask(desk, desk.url("rg"))
    assert what in refusal(desk, SourceError).message
    ask(desk, desk.archive("rg.tar.gz", {"rg-1/rg": content, "rg-1/README": "x"}))
    assert f"rg in {desk.url('rg.tar.gz')} {what}" in refusal(desk, SourceError).message


def test_a_pointer_that_is_no_command_keeps_nobody(desk: Desk) -> None:
    ask(desk, desk.archive("rg.tar.gz", {"rg-1/rg": "#!", "rg-1/film": POINTER}))
    assert desk.lock().tools["x"].bin == {"rg": "rg"}
