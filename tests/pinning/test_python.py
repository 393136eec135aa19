"""Python tools become pins: resolved by the real uv, from wheels on the shelf."""

from __future__ import annotations

import pytest

from agent.errors import InventoryError, SourceError
from tests.pinning.desk import Desk


def test_a_tool_is_pinned_with_all_that_it_needs_by_hash(desk: Desk) -> None:
    desk.wheel("cowsay", "1.2", needs=["moo>=1", "winmoo; sys_platform == 'win32'"], scripts=["cowsay"])
    desk.wheel("cowsay", "2.0", scripts=["cowsay"])
    desk.wheel("moo", "1.5", scripts=["moo"])
    desk.wheel("winmoo", "3")
    desk.repo.write("tools.yaml", "say: {pip: cowsay, version: 1.*}")
    lock = desk.lock()
    pin = lock.tools["say"]
    assert (pin.version, pin.bin, lock.asked) == ("1.2", {"cowsay": "cowsay"}, {"say": "cowsay==1.*"})
    assert [line.partition(" --hash=sha256:")[0] for line in pin.requirements] == [
        *("cowsay==1.2", "moo==1.5", "winmoo==3 ; sys_platform == 'win32'"),
    ]
    assert all(len(line.partition("--hash=sha256:")[2]) == 64 for line in pin.requirements)


def test_without_a_version_the_newest_is_taken_and_names_are_compared_as_pip_does(desk: Desk) -> None:
    desk.wheel("cow_say", "1.0", scripts=["cow"])
    desk.wheel("cow_say", "2.0", scripts=["cow"])
    desk.repo.write("tools.yaml", "say: {pip: Cow.Say}")
    assert desk.lock().tools["say"].version == "2.0"


def test_bin_chooses_among_the_scripts_and_renames_them(desk: Desk) -> None:
    desk.wheel("cowsay", "1", scripts=["cowsay", "cowthink"])
    desk.repo.write("tools.yaml", "say: {pip: cowsay, bin: {moo: cowthink}}")
    assert desk.lock().tools["say"].bin == {"moo": "cowthink"}


def test_a_script_that_is_not_there_is_refused_with_those_that_are(desk: Desk) -> None:
    desk.wheel("cowsay", "1", scripts=["cowsay", "cowthink"])
    desk.repo.write("tools.yaml", "say: {pip: cowsay, bin: [cow]}")
    with pytest.raises(InventoryError, match="cowsay has no script cow") as refused:
        desk.lock()
    assert refused.value.hint == "it has cowsay, cowthink"


def test_a_library_is_no_tool(desk: Desk) -> None:
    desk.wheel("moo", "1")
    desk.repo.write("tools.yaml", "say: {pip: moo}")
    with pytest.raises(InventoryError, match="moo has no scripts"):
        desk.lock()


def test_what_no_version_fits_is_refused_in_uvs_words(desk: Desk) -> None:
    desk.wheel("cowsay", "1", scripts=["cowsay"])
    desk.repo.write("tools.yaml", "say: {pip: cowsay, version: '>=2'}")
    with pytest.raises(
        InventoryError, match=r"tools.yaml:1:1: say: cowsay>=2 cannot be locked: .*only cowsay.*1"
    ) as refused:
        desk.lock()
    assert "\n" not in refused.value.message


def test_an_index_that_does_not_answer_is_a_source_problem(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    desk.repo.write("tools.yaml", "say: {pip: cowsay}")
    with pytest.raises(SourceError) as refused:
        desk.lock()
    assert refused.value.kind == "index-unreachable"
