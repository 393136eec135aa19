from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.tools import install
from agent.deploys.tools.host import Tool
from agent.deploys.tools.store import MARK, ToolStore, read_mark
from agent.domain.pins import Asset, ToolPin
from agent.errors import DeployError, SourceError
from agent.system.archive import ArchiveError
from tests.deploys.commit import snapshot
from tests.deploys.tools.shelf import MACHINE, asset, go, put, says, tarball
from tests.system import acls
from tests.system.file_server import file_server


@pytest.fixture
def store(tmp_path: Path) -> ToolStore:
    return ToolStore(tmp_path / "host")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


def converge(store: ToolStore, pin: ToolPin) -> str:
    """Makes it so, and returns what had to be done; nothing may be left to do."""
    change = Tool(store, MACHINE).difference(pin)
    if change:
        Tool(store, MACHINE).make(pin)
    assert Tool(store, MACHINE).difference(pin) == "", "the second run wants something"
    assert list(store.staging.iterdir()) == list(store.downloads.iterdir()) == []
    return change


def said(store: ToolStore, command: str) -> str:
    return subprocess.run([store.commands / command], capture_output=True, text=True, check=True).stdout.strip()


def test_a_tool_comes_with_all_its_commands(store: ToolStore, shelf: Path) -> None:
    pin = go("1.22", shelf, "go", "gofmt")
    size = pin.assets[MACHINE].size
    assert converge(store, pin) == f"install 1.22 ({size} bytes to download), link go, link gofmt"
    assert said(store, "gofmt") == "gofmt 1.22"
    assert (store.commands / "go").readlink() == store.version("go", "1.22") / "go-1.22/bin/go"


def test_everybody_may_run_it_and_only_its_owner_may_write(store: ToolStore, shelf: Path) -> None:
    old = os.umask(0o077)
    try:
        converge(store, go("1.22", shelf, "go"))
    finally:
        os.umask(old)
    modes = {path.relative_to(store.tools).as_posix(): path.lstat().st_mode for path in store.tool("go").rglob("*")}
    for path, mode in modes.items():
        private = path.endswith(MARK)
        assert stat.S_IMODE(mode) & 0o022 == 0, path
        assert stat.S_IMODE(mode) & 0o444 == (0o400 if private else 0o444), path


def test_a_single_program_has_the_name_of_its_command(store: ToolStore, shelf: Path) -> None:
    pin = ToolPin("jq", "1.7", {"jq": "jq"}, {MACHINE: put(shelf, "jq-linux-amd64", says("jq 1.7").encode())})
    converge(store, pin)
    assert said(store, "jq") == "jq 1.7"


def test_a_platform_may_hold_its_commands_elsewhere(store: ToolStore, shelf: Path) -> None:
    content = put(shelf, "a.tar.gz", tarball({"x86/odd": says("odd"), "x86/README": "-"}))
    pin = ToolPin("a", "1", {"a": "arm/a"}, {MACHINE: replace(content, bin={"a": "x86/odd"})})
    converge(store, pin)
    assert said(store, "a") == "odd"


Drift = Callable[[ToolStore], object]
LIBRARY = "go-1/lib/runtime"
DRIFTS: dict[str, tuple[Drift, str]] = {
    "link gone": (lambda store: (store.commands / "go").unlink(), "link go"),
    "link elsewhere": (
        lambda store: ((store.commands / "go").unlink(), (store.commands / "go").symlink_to("/bin/true")),
        "link go in place of a link to /bin/true",
    ),
    "a file for a link": (
        lambda store: ((store.commands / "go").unlink(), (store.commands / "go").write_text("mine")),
        "link go in place of a file",
    ),
    "stray link": (
        lambda store: (store.commands / "old").symlink_to(store.tool("go") / "0/old"),
        "unlink old",
    ),
    "program altered": (
        lambda store: (store.version("go", "1") / "go-1/bin/go").write_text("#!/bin/sh\necho go 9\n"),
        "install 1 again: go-1/bin/go was altered",
    ),
    "library missing": (
        lambda store: (store.version("go", "1") / LIBRARY).unlink(),
        f"install 1 again: {LIBRARY} is missing",
    ),
    "library a link": (
        lambda store: (
            (store.version("go", "1") / LIBRARY).unlink(),
            (store.version("go", "1") / LIBRARY).symlink_to("/etc/passwd"),
        ),
        f"install 1 again: {LIBRARY} is something else",
    ),
    "mode": (
        lambda store: (store.version("go", "1") / LIBRARY).chmod(0o666),
        f"install 1 again: {LIBRARY} has mode 0666",
    ),
    "an ACL": (
        lambda store: acls.give(store.version("go", "1") / "go-1/bin/go", 65534, 5),
        "install 1 again: go-1/bin/go has capabilities or an ACL",
    ),
    "folder for all": (
        lambda store: (store.version("go", "1") / "go-1/bin").chmod(0o777),
        "install 1 again: go-1/bin has mode 0777",
    ),
    "mark gone": (lambda store: (store.version("go", "1") / MARK).unlink(), "install 1 again: it is not whole"),
    "mark spoilt": (
        lambda store: (store.version("go", "1") / MARK).write_text("{}"),
        "install 1 again: it is not whole",
    ),
    "emptied": (
        lambda store: shutil.rmtree(store.version("go", "1") / "go-1"),
        "install 1 again: go-1 is missing, go-1/bin is missing, go-1/lib is missing and 3 more",
    ),
}


@pytest.mark.parametrize("case", DRIFTS)
def test_every_drift_is_found_and_repaired(store: ToolStore, shelf: Path, case: str) -> None:
    pin = go("1", shelf, "go", "gofmt")
    converge(store, pin)
    by_hand, repair = DRIFTS[case]
    by_hand(store)
    assert converge(store, pin) == repair
    assert said(store, "go") == "go 1"


def test_an_altered_file_of_the_same_size_and_time_is_found(store: ToolStore, shelf: Path) -> None:
    converge(store, pin := go("1", shelf, "go"))
    program = store.version("go", "1") / "go-1/bin/go"
    before = program.stat()
    program.write_text(program.read_text().replace("1", "2"))
    os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "was altered" in Tool(store, MACHINE).difference(pin)


def test_a_file_that_was_only_touched_is_as_good_as_before(store: ToolStore, shelf: Path) -> None:
    converge(store, pin := go("1", shelf, "go"))
    (store.version("go", "1") / "go-1/bin/go").touch()
    assert Tool(store, MACHINE).difference(pin) == ""


def test_what_a_tool_keeps_in_its_own_folder_is_no_drift(store: ToolStore, shelf: Path) -> None:
    converge(store, pin := go("1", shelf, "go"))
    (store.version("go", "1") / "go-1/cache").write_text("warm")
    assert Tool(store, MACHINE).difference(pin) == ""


def test_of_old_versions_only_the_one_before_stays(store: ToolStore, shelf: Path) -> None:
    for version in ("1", "2", "3"):
        converge(store, go(version, shelf, "go"))
    assert store.versions("go") == ["2", "3"]
    assert said(store, "go") == "go 3"


def test_going_back_needs_no_download(store: ToolStore, shelf: Path) -> None:
    first, second = go("1", shelf, "go"), go("2", shelf, "go")
    converge(store, first)
    converge(store, second)
    shutil.rmtree(shelf)
    assert converge(store, first) == "point go to 1 (was go 2)"
    assert said(store, "go") == "go 1"


def test_a_command_that_a_version_lacks_goes_with_the_old_one(store: ToolStore, shelf: Path) -> None:
    converge(store, go("1", shelf, "go", "gofmt"))
    change = converge(store, go("2", shelf, "go"))
    assert change
    assert change.endswith("point go to 2 (was go 1), unlink gofmt")
    assert sorted(path.name for path in store.commands.iterdir()) == ["go"]


def test_a_command_may_move_from_one_tool_to_another(store: ToolStore, shelf: Path) -> None:
    converge(store, go("1", shelf, "go"))
    converge(store, replace(go("2", shelf, "go"), name="golang"))
    assert said(store, "go") == "go 2"


def test_the_same_version_with_other_bytes_is_installed_again(store: ToolStore, shelf: Path) -> None:
    pin = go("1", shelf, "go")
    converge(store, pin)
    content = tarball({"go-1/bin/go": says("rebuilt"), "go-1/lib/runtime": "code"})
    assert converge(store, replace(pin, assets={MACHINE: put(shelf, "go.tar.gz", content)})) == (
        "install 1 again: its pin has changed"
    )
    assert said(store, "go") == "rebuilt"


def test_another_mirror_or_platform_changes_nothing(store: ToolStore, shelf: Path) -> None:
    pin = go("1", shelf, "go")
    converge(store, pin)
    here = replace(pin.assets[MACHINE], url="https://mirror.example.org/elsewhere/go-1.tar.gz")
    more = replace(pin, assets={MACHINE: here, "linux-riscv64": here})
    assert Tool(store, MACHINE).difference(more) == ""


def test_a_platform_without_a_pin_is_refused_with_those_that_have_one(store: ToolStore, shelf: Path) -> None:
    with pytest.raises(DeployError, match="not pinned for linux-mips, only for linux-x86_64"):
        Tool(store, "linux-mips").difference(go("1", shelf, "go"))


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("mine"),
    "a link": lambda path: path.symlink_to("/bin/true"),
    "a directory": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_ours_stays_and_stops_the_whole_tool(store: ToolStore, shelf: Path, what: str) -> None:
    store.commands.mkdir(parents=True)
    FOREIGN[what](store.commands / "gofmt")
    before = snapshot(store.commands)
    pin = go("1", shelf, "go", "gofmt")
    assert f"gofmt is {what} that is not ours" in Tool(store, MACHINE).difference(pin)
    with pytest.raises(DeployError, match=f"gofmt is {what} that is not ours"):
        Tool(store, MACHINE).make(pin)
    assert snapshot(store.commands) == before
    assert store.versions("go") == []


def failing(shelf: Path) -> dict[str, tuple[Asset, type[Exception], str]]:
    good = put(shelf, "new.tar.gz", tarball({"go-1/bin/go": says("new")}))
    evil = put(shelf, "evil.tar.gz", tarball({"../../../evil": says("evil")}))
    marked = put(shelf, "marked.tar.gz", tarball({"go-1/bin/go": says("new"), MARK: "{}"}))
    other = put(shelf, "other.tar.gz", tarball({"a": says("a"), "b": "b"}))
    script = put(shelf, "page.tar.gz", b"<html>")
    return {
        "other bytes": (replace(good, sha256="0" * 64), SourceError, "pinned is 0000"),
        "shorter": (replace(good, size=good.size + 1), SourceError, "is not what lock.yaml pins"),
        "longer": (replace(good, size=good.size - 1), SourceError, "longer than it may be"),
        "gone": (replace(good, url=f"file://{shelf}/gone"), SourceError, "No such file"),
        "path out": (evil, ArchiveError, "leads out"),
        "no archive": (script, ArchiveError, "is a web page, not the file that it is about"),
        "without the program": (other, DeployError, "has no program go-1/bin/go; it has a"),
        "with a mark of its own": (marked, DeployError, MARK),
    }


@pytest.mark.parametrize(
    "case",
    [
        "other bytes",
        "shorter",
        "longer",
        "gone",
        "path out",
        "no archive",
        "without the program",
        "with a mark of its own",
    ],
)
def test_what_cannot_be_had_as_pinned_leaves_everything_as_it_was(
    store: ToolStore, shelf: Path, tmp_path: Path, case: str
) -> None:
    first = go("1", shelf, "go")
    converge(store, first)
    before = snapshot(tmp_path / "host")
    new, error, said_so = failing(shelf)[case]
    with pytest.raises(error, match=said_so):
        Tool(store, MACHINE).make(replace(first, version="2", assets={MACHINE: new}))
    after = snapshot(tmp_path / "host")
    cache = f"{store.downloads.relative_to(tmp_path / 'host')}/"
    assert {path: what for path, what in after.items() if not path.startswith(cache)} == before
    assert said(store, "go") == "go 1"


def test_what_an_installation_left_that_was_killed_is_cleared_away(store: ToolStore, shelf: Path) -> None:
    store.prepare()
    (store.staging / "half/bin").mkdir(parents=True)
    old = store.downloads / "abandoned.part"
    old.write_text("half")
    os.utime(old, (0, 0))
    store.version("go", "1").mkdir(parents=True)
    (store.version("go", "1") / "half").write_text("")
    assert converge(store, go("1", shelf, "go")) == "install 1 again: it is not whole, link go"
    assert store.versions("go") == ["1"]


def test_a_download_that_broke_off_goes_on_in_the_next_run(store: ToolStore, monkeypatch: pytest.MonkeyPatch) -> None:
    content = says("#" * 50_000).encode()
    with file_server() as server:
        server.files["/tool"] = content
        pin = ToolPin("tool", "1", {"tool": "tool"}, {MACHINE: asset(server.url("/tool"), content)})
        store.prepare()
        (store.downloads / f"{pin.assets[MACHINE].sha256}.part").write_bytes(content[:20_000])
        converge(store, pin)
        assert server.requests == [("/tool", "bytes=20000-")]


def test_a_folder_that_others_can_write_to_is_no_place_for_tools(store: ToolStore, shelf: Path) -> None:
    (store.root / "opt").mkdir(parents=True)
    (store.root / "opt").chmod(0o777)
    with pytest.raises(DeployError, match="can be written to by others"):
        Tool(store, MACHINE).make(go("1", shelf, "go"))


def test_nothing_is_on_path_before_it_was_checked(
    store: ToolStore, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every file that is written on the way, the command is the one of before; then a whole new one."""
    converge(store, go("1", shelf, "go"))
    seen: set[str] = set()
    real = os.fchmod

    def look(descriptor: int, mode: int) -> None:
        seen.add(said(store, "go"))
        assert seen == {"go 1"} or read_mark(store.version("go", "2")) is not None, "linked before it was whole"
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", look)
    Tool(store, MACHINE).make(go("2", shelf, "go"))
    monkeypatch.undo()
    assert seen == {"go 1", "go 2"}


def test_this_machine_has_a_name_that_pins_use() -> None:
    assert install.platform() == f"linux-{os.uname().machine.lower()}"


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("name", ["jq-linux-amd64", "jq.tar.gz"])
def test_a_program_that_is_only_a_pointer_is_not_installed(store: ToolStore, shelf: Path, name: str) -> None:
    content = tarball({"jq": POINTER, "README": "x"}) if name.endswith("gz") else POINTER.encode()
    pin = ToolPin("jq", "1.7", {"jq": "jq"}, {MACHINE: put(shelf, name, content)})
    with pytest.raises(DeployError, match="is a pointer of Git LFS, not the content"):
        Tool(store, MACHINE).make(pin)
    assert not store.version("jq", "1.7").exists()
    assert not (store.commands / "jq").exists()
