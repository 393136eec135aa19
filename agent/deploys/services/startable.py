"""Asking systemd whether it would ever start a unit with a new file, before the file is put in place."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from agent.deploys.telling import plain_lines
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.process import run

TIMEOUT_S = 30.0
_FOLDERS = "/usr/bin:/bin"
_REFUSES = "bad unit file setting"
"""Of all that ``systemd-analyze verify`` says, this alone is about the file, and final. Systemd passes over what it
warns of (a key that only a newer one knows), or other deploys bring it (a program, a user, another unit)."""


def require_startable(name: str, text: str) -> str:
    """Raises DeployError where systemd would load the unit ``name`` with this file, drop-ins included, and refuse it.
    Returns why nobody was asked, mostly nothing."""
    analyze = shutil.which("systemd-analyze", path=_FOLDERS)
    if analyze is None:
        return f"{name} was not checked: there is no systemd-analyze on this host"
    with tempfile.TemporaryDirectory(prefix="hostwright-unit-") as folder:
        file = Path(folder, name)
        file.write_text(text)
        done = run([analyze, "verify", "--man=no", "--recursive-errors=no", f"{file}"], timeout_s=TIMEOUT_S)
    lines = plain_lines(done.error.decode(errors="replace"))
    if any(_REFUSES in line and name in line for line in lines):
        why = next((line for line in lines if line.startswith(f"{name}: ")), f"{name}: {_REFUSES}")
        raise DeployError(why, hint="see systemd.unit(5); what was there stands", kind=ProblemKind.NOT_VALID)
    return ""
