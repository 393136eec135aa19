"""241 operations of pyinfra in one deploy file, which pyinfra and Hostwright run as it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.states import TREE, State
from benchmarks.tools import hostwright, pyinfra
from benchmarks.tools.tool import Tool

COUNT = 241

_DEPLOY = f"""\
import io
from pyinfra.operations import apt, files

owned = {{"user": "root", "group": "root", "mode": "644"}}
apt.packages(name="packages", packages=["apt", "bash", "coreutils", "dpkg", "grep", "gzip", "hostname", "login"])
files.directory(name="tree", path="{TREE}", user="root", group="root", mode="755")
for number in range(9):
    path = f"{TREE}/{{number}}"
    files.directory(name=path, path=path, user="root", group="root", mode="755")
for number in range(120):
    path = f"{TREE}/put{{number}}"
    files.put(name=path, src=io.StringIO(f"put {{number}}\\n"), dest=path, **owned)
for number in range(40):
    path = f"{TREE}/template{{number}}"
    files.template(name=path, src=io.StringIO("template {{{{ value }}}}\\n"), dest=path, value=number, **owned)
for number in range(20):
    path = f"{TREE}/link{{number}}"
    files.link(name=path, path=path, target=f"put{{number}}")
files.file(name="lines", path="{TREE}/lines", **owned)
for number in range(49):
    files.line(name=f"line {{number}}", path="{TREE}/lines", line=f"line number {{number}} here")
"""


def state() -> State:
    """What the deploy file makes of a host."""
    files = {f"{TREE}/put{number}": f"put {number}\n" for number in range(120)}
    files |= {f"{TREE}/template{number}": f"template {number}\n" for number in range(40)}
    files[f"{TREE}/lines"] = "".join(f"line number {number} here\n" for number in range(49))
    links = {f"{TREE}/link{number}": f"put{number}" for number in range(20)}
    return State(("apt",), (), (TREE, *(f"{TREE}/{number}" for number in range(9))), files, links)


def _of_hostwright(_: State) -> Mapping[str, str]:
    site = "- hosts: all\n  deploys:\n    - {name: operations, deploy: deploys/operations.py}\n"
    files = {**hostwright.HOSTWRIGHT.files(State()), f"{hostwright.CONFIG}/deploys/operations.py": _DEPLOY}
    return files | {f"{hostwright.CONFIG}/inventories/lab/site.yaml": site}


def tools() -> tuple[Tool, ...]:
    return (
        replace(hostwright.HOSTWRIGHT, files=_of_hostwright),
        replace(pyinfra.PYINFRA, files=lambda _: {"/srv/pyinfra/deploy.py": _DEPLOY}),
    )
