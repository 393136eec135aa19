"""Hostwright as it lies in this working copy: built-in deploys of a config repo on the host."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.states import State
from benchmarks.tools.tool import SUITE, Tool
from tests.lab import installed

CONFIG, REMOTE = "/srv/config", "/srv/config.git"

_COMMIT = f"""\
cd {CONFIG}
git init -q -b main
git add -A
git -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m State
[ -d {REMOTE} ] || git clone -q --bare . {REMOTE}
git push -q {REMOTE} main
"""

ADMITTED = f"""\
folder={CONFIG}/inventories/lab/identities
mkdir -p "$folder"
hostwright identity > "$folder/web1.pub"
{_COMMIT}"""
"""Shell that admits the host, as its administrator does: else each cycle asks for that."""


def service(url: str) -> str:
    """Shell that makes the host follow the repository, as bootstrap.sh does, and starts the daemon."""
    return f"hostwright setup --repo {url} --inventory lab --host web1 --trust unsigned"


def site(state: State) -> str:
    """site.yaml with a line for each resource."""
    lines = ["- hosts: all", "  deploys:"]
    if state.packages:
        lines += [f"    - packages: {json.dumps(state.packages)}"]
    if state.accounts:
        lines += [f"    - users: {json.dumps({'accounts': {name: {} for name in state.accounts}})}"]
    lines += ["    - files:"]
    lines += [f"        {path}: {{directory: true}}" for path in state.folders]
    lines += [f"        {path}: {{content: {json.dumps(text)}}}" for path, text in state.files.items()]
    lines += [f"        {path}: {{link: {target}}}" for path, target in state.links.items()]
    return "\n".join(lines) + "\n"


def _files(state: State) -> Mapping[str, str]:
    folder = f"{CONFIG}/inventories/lab"
    return {
        f"{folder}/hosts.yaml": "all: {hosts: {web1: {}}}\n",
        f"{folder}/fleet.yaml": "schedule: {settle: 0s}\n",
        f"{folder}/site.yaml": site(state),
    }


HOSTWRIGHT = Tool(
    name="Hostwright",
    version="hostwright --version",
    install="",
    image=lambda: installed.agent(SUITE),
    files=_files,
    prepare=lambda host: host.run(_COMMIT),
    run=f"[ -e /etc/hostwright/agent.yaml ] || {{ {service(f'file://{REMOTE}')} --once; {ADMITTED}}}; hostwright apply",
    look="hostwright plan",
)
