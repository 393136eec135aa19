"""A command that waited while the agent's version was switched goes on as the version that is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GOES_ON = """
import os, sys
from pathlib import Path
from agent.host.paths import Paths
from agent.host.versions import Versions
root, sys.prefix = Path(sys.argv[1]), sys.argv[2]
if (program := Versions(Paths(root)).successor()) is not None:
    os.execv(program, [f"{program}"])
print("a cycle of", Path(sys.prefix).name)
"""
OWN = "1.0-aa"


@pytest.fixture
def opt(tmp_path: Path) -> Path:
    """With this process's version and another one, whose program says so."""
    opt = tmp_path / "opt/hostwright"
    for version in (OWN, "2.0-bb"):
        (opt / "versions" / version / "bin").mkdir(parents=True)
        program(opt, version, "echo a cycle of 2.0-bb")
    return opt


def program(opt: Path, version: str, command: str) -> Path:
    path = opt / "versions" / version / "bin/hostwright"
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return path


def cycle(opt: Path, prefix: str = f"versions/{OWN}") -> str:
    """What is printed by a cycle of the version with this prefix."""
    argv = [sys.executable, "-c", GOES_ON, opt.parents[1], opt / prefix]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_cycle_goes_on_as_the_version_that_was_switched_to(opt: Path) -> None:
    (opt / "current").symlink_to("versions/2.0-bb")
    assert cycle(opt) == "a cycle of 2.0-bb"


def test_the_current_version_goes_on_as_itself_by_whatever_link(opt: Path) -> None:
    (opt / "versions/other").symlink_to(OWN)
    (opt / "current").symlink_to("versions/other")
    assert cycle(opt) == f"a cycle of {OWN}"


@pytest.mark.parametrize("current", ["versions/gone", "versions/2.0-bb"])
def test_a_version_that_cannot_run_is_not_gone_on_as(opt: Path, current: str) -> None:
    (opt / "current").symlink_to(current)
    (opt / "versions/2.0-bb/bin/hostwright").chmod(0o644)
    assert cycle(opt) == f"a cycle of {OWN}"


def test_what_was_not_installed_goes_on_as_itself(opt: Path, tmp_path: Path) -> None:
    (opt / "current").symlink_to("versions/2.0-bb")
    assert cycle(opt, f"{tmp_path}/venv") == "a cycle of venv"


def test_a_program_with_the_python_of_another_version_is_not_gone_on_as_for_ever(opt: Path) -> None:
    (opt / "current").symlink_to("versions/2.0-bb")
    script = opt / "again.py"
    script.write_text(GOES_ON)
    program(opt, "2.0-bb", f"exec {sys.executable} {script} {opt.parents[1]} {opt}/versions/{OWN}")
    assert cycle(opt) == f"a cycle of {OWN}"
