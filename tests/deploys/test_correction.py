"""A correction that fails says why, in words for people."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.deploys.correction import Correction
from agent.domain.plan import WantedChange
from agent.system.files import write_atomic

FAILURES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file where a folder is": (lambda path: write_atomic(path, b"x"), "{path}: Is a directory"),
    "a folder removed as a file": (lambda path: path.unlink(), "{path}: Is a directory"),
    "a rename by temporary name": (
        lambda path: (path.with_name("new").touch(), path.with_name("new").replace(path)),
        "{path}: Is a directory",
    ),
    "without a path": (lambda _: os.read(-1, 1), "[Errno 9] Bad file descriptor"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_an_error_of_the_system_is_told_by_the_path_that_people_know(tmp_path: Path, case: str) -> None:
    function, told = FAILURES[case]
    (tmp_path / "there/full").mkdir(parents=True)
    correction = Correction(WantedChange("file:/x", "write"), function, tmp_path / "there")
    with pytest.raises(OSError, match=r"."):
        correction.run()
    assert correction.error == told.format(path=tmp_path / "there")
