"""A check by systemd, before a unit's new file is put in place: would it ever start the unit?"""

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
"""The only complaint of ``systemd-analyze verify`` that the file itself is to blame for and that keeps the unit from
starting. systemd passes over what it warns of (a key that only a newer version knows), and what is missing (a program,
a user, another unit) may come with another deploy."""


def require_startable(name: str, text: str) -> str:
    """Raise DeployError if systemd would refuse to start the unit ``name`` with the file ``text`` and its drop-ins.
    Returns a remark where there is no systemd-analyze to ask, else an empty text."""
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
