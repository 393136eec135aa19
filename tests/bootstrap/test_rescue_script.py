"""rescue.sh, moved below a folder of its own: what it does before it builds anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "agent/host/rescue.sh"
PROGRAMS = ("sh", "sed", "find", "mkdir", "basename", "readlink", "chmod", "tail", "rm", "env")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host whose agent does not run, and of which version 0.1.0 kept the sources."""
    for folder in ("opt/hostwright/versions/1", "opt/hostwright/rescue/1", "run", "var/log", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt/hostwright/current").symlink_to("versions/1")
    (tmp_path / "opt/hostwright/rescue/1/sources").write_text("index \nwheelhouse \nproxy \nca \n")
    for program in PROGRAMS:
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "/nowhere")
    text = SCRIPT.read_text().replace("-user 0", f"-user {os.geteuid()}")
    for place in ("/opt/hostwright", "/run/hostwright", "/var/lib/hostwright", "/var/log/"):
        text = text.replace(f"={place}", f"={tmp_path}{place}")
    lines = [f"PATH={tmp_path}/bin" if line.startswith("PATH=") else line for line in text.splitlines()]
    (tmp_path / "rescue.sh").write_text("\n".join((*lines, "")))
    return tmp_path


def build(root: Path) -> subprocess.CompletedProcess[str]:
    argv = ["/bin/sh", f"{root}/rescue.sh", "build"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def test_it_writes_to_no_log_that_somebody_else_made(root: Path) -> None:
    theirs = root / "theirs"
    theirs.write_text("as it was\n")
    theirs.chmod(0o644)
    (root / "var/log/hostwright-bootstrap.log").symlink_to(theirs)
    done = build(root)
    assert (done.returncode, "is no file of root's" in done.stderr) == (3, True), done.stderr
    assert (theirs.read_text(), theirs.stat().st_mode & 0o777) == ("as it was\n", 0o644)


def test_it_finds_the_package_manager_that_0_1_0_did_not_write_down(root: Path) -> None:
    (root / "bin/apt-get").write_text(f'#!/bin/sh\necho "$@" >>{root}/asked\n')
    (root / "bin/apt-get").chmod(0o755)
    done = build(root)
    assert (done.returncode, "no Python 3.11 or newer with venv" in done.stderr) == (3, True), done.stderr
    asked = (root / "asked").read_text().splitlines()
    assert asked[0] == "-q -y --no-install-recommends install python3-venv"
    assert len(asked) == 4
