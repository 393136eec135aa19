"""environment.py: what a build that fails leaves behind. That it builds is tried on booted hosts."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host import environment


@pytest.fixture
def opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a host whose version 1 has other content than the source in ``source``."""
    monkeypatch.setattr(environment, "OPT", tmp_path / "opt")
    monkeypatch.setattr(environment, "_build", lambda _agent, folder, _sources: folder.mkdir())
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
