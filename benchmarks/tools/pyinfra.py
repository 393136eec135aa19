"""pyinfra by itself, on the host that it changes: one deploy file."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.states import State
from benchmarks.tools.tool import Tool, by_pip
from tests.lab.installed import ROOT

_RUN = "cd /srv/pyinfra; /opt/pyinfra/bin/pyinfra --yes @local deploy.py"

_DEPLOY = """\
import io, json
from pathlib import Path
from pyinfra.operations import apt, files, server

state = json.loads(Path("state.json").read_text())
apt.packages(name="packages", packages=state["packages"])
for name in state["accounts"]:
    server.user(name=f"account {name}", user=name)
for path in state["folders"]:
    files.directory(name=path, path=path, user="root", group="root", mode="755")
for path, text in state["files"].items():
    files.put(name=path, src=io.StringIO(text), dest=path, user="root", group="root", mode="644")
for path, target in state["links"].items():
    files.link(name=path, path=path, target=target)
"""


def _files(state: State) -> Mapping[str, str]:
    names = ("packages", "accounts", "folders", "files", "links")
    text = json.dumps({name: getattr(state, name) for name in names})
    return {"/srv/pyinfra/deploy.py": _DEPLOY, "/srv/pyinfra/state.json": text}


def _locked() -> str:
    """The version that Hostwright is locked to."""
    lock = (ROOT / "requirements.txt").read_text()
    return next(line.split()[0] for line in lock.splitlines() if line.startswith("pyinfra=="))


PYINFRA = Tool(
    name="pyinfra",
    version="/opt/pyinfra/bin/pyinfra --version",
    install=by_pip(_locked(), "pyinfra"),
    files=_files,
    run=_RUN,
    look=f"{_RUN.replace('--yes', '--dry')}",
)
