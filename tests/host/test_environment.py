"""environment.py: where uv comes from, and what a build that fails leaves behind. Booted hosts try that it builds."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.host import environment


@pytest.fixture
def opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a host whose version 1 has other content than the source in ``source``."""
    monkeypatch.setattr(environment, "OPT", tmp_path / "opt")
    monkeypatch.setattr(environment, "_build", lambda _agent, folder, _sources: folder.mkdir())
    monkeypatch.setattr(environment, "compile_all", lambda _folder: None)
    monkeypatch.setattr(environment, "NEEDED_BYTES", 0)
    there = tmp_path / "opt/versions/1"
    there.mkdir(parents=True)
    (there / ".complete").write_text("another digest\n")
    (tmp_path / "source/agent").mkdir(parents=True)
    (tmp_path / "source/agent/__init__.py").write_text('__version__ = "1"\n')
    (tmp_path / "source/requirements.txt").write_text("uv==1\n")
    (tmp_path / "sources").write_text("index \nca \n")
    numbers = (signal.SIGTERM, signal.SIGHUP)  # it is a program of its own, and sets them and the umask for good
    before, umask = [signal.getsignal(number) for number in numbers], os.umask(0o022)
    yield tmp_path / "opt"
    os.umask(umask)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_it_is_put_back_where_what_it_was_built_from_cannot_be_kept(
    opt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(environment, "keep_source", full)
    assert environment.main(opt.parent / "source", opt.parent / "sources") == environment.MACHINE
    assert "No space left on device" in capsys.readouterr().out
    assert [path.name for path in (opt / "versions").iterdir()] == ["1"]
    assert (opt / "versions/1/.complete").read_text() == "another digest\n"


def test_it_takes_the_place_of_one_with_other_content(opt: Path) -> None:
    assert environment.main(opt.parent / "source", opt.parent / "sources") == 0
    assert sorted(path.name for path in (opt / "versions").iterdir()) == ["1", "1.old"]
    assert (opt / "rescue/1/sources").read_text() == "index \nca \n"


NAME = f"uv-1-py3-none-manylinux_2_17_{platform.machine()}.whl"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of uv for this machine, whose program is a line of shell, beside one for another."""
    folder = tmp_path_factory.mktemp("simple") / "uv"
    folder.mkdir()
    with zipfile.ZipFile(folder / NAME, "w") as wheel:
        wheel.writestr("uv-1.data/scripts/uv", "#!/bin/sh\necho uv 1\n")
    (folder / "uv-1-py3-none-win32.whl").write_bytes(b"")
    (folder / "index.html").write_text(f"<a href='uv-1-py3-none-win32.whl'>uv</a> <a href='{NAME}#sha256=00'>uv</a>")
    return folder


@pytest.fixture
def index(house: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an index that has ``house``, for a machine without settings of pip."""
    monkeypatch.setattr(environment, "PIP_FILES", ())
    handler = partial(SimpleHTTPRequestHandler, directory=f"{house.parent}")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def lock_of(wheel: Path) -> str:
    return f"uv==1 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_uv_is_fetched_from_the_index_that_is_named(house: Path, index: str, tmp_path: Path) -> None:
    for sources, environ in (({"index": index}, {}), ({}, {"PIP_INDEX_URL": index})):
        assert environment._fetch_uv(lock_of(house / NAME), sources, environ, tmp_path) == tmp_path / NAME
        assert subprocess.run([tmp_path / "uv"], check=True, capture_output=True, text=True).stdout == "uv 1\n"


def test_uv_is_taken_from_the_wheelhouse(house: Path, tmp_path: Path) -> None:
    fetched = environment._fetch_uv(lock_of(house / NAME), {"wheelhouse": f"{house}"}, {}, tmp_path)
    assert fetched == tmp_path / NAME


def test_uv_that_is_not_the_locked_one_is_not_run(house: Path, index: str, tmp_path: Path) -> None:
    assert environment._fetch_uv(lock_of(house / "index.html"), {"index": index}, {}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", environment.PIP_SETTINGS)
def test_uv_is_left_to_pip_where_pip_is_told_more_than_an_index(index: str, tmp_path: Path, name: str) -> None:
    assert environment._links_to_uv("uv-1", {"index": index}, {name: "x"}) == []


@pytest.mark.parametrize(
    ("libc", "has_interpreter"),
    [(("glibc", "2.31"), False), (("glibc", "2.34"), True), (("glibc", "2.41"), True), (("", ""), False)],
)
def test_the_engine_of_policies_is_left_out_where_no_wheel_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libc: tuple[str, str], has_interpreter: bool
) -> None:
    class InstalledError(Exception): ...

    def call(argv: list[str], *_: object) -> None:
        if "-r" in argv:
            raise InstalledError(Path(argv[-1]).read_bytes())

    lock = b"click==8.3 \\\n    --hash=sha256:a\n%suv==1 \\\n    --hash=sha256:b\n"
    engine = b"gordon-to-regorus==0.13.0 \\\n    --hash=sha256:c \\\n    --hash=sha256:d\n"
    monkeypatch.setattr(environment.platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(environment, "_fetch_uv", lambda *_: Path("uv.whl"))
    monkeypatch.setattr(environment, "_call", call)
    with pytest.raises(InstalledError) as raised:
        environment._build(environment.AgentSource("1", lock % engine, ""), tmp_path / "environment", {})
    assert raised.value.args == (lock % (engine if has_interpreter else b""),)


def test_the_password_of_an_index_is_no_argument_and_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    environ = environment._environ({"index": "https://ann:p@hunter2@packages.example/simple"})
    program = "import os; print('asking', os.environ['UV_DEFAULT_INDEX'], os.environ['PIP_INDEX_URL'])"
    environment._call([sys.executable, "-c", program], environ, "it does not run", environment.MACHINE)
    assert capsys.readouterr().out.splitlines()[1] == "asking" + 2 * " https://***@packages.example/simple"
