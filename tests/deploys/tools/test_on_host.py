"""Tools on booted hosts: from a web server of this machine, and from the ordinary Python index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest

from agent.domain.pins import ToolPin
from tests.deploys.on_host import PYTHON, Deploys
from tests.deploys.tools.shelf import asset, says, tarball
from tests.lab.host import Host
from tests.system.file_server import FileServer, file_server

pytestmark = pytest.mark.booted

ONLINE = True

UV = "/opt/hostwright/current/bin/uv"
PYTHON_TOOL = "cowsay"
"""One small wheel without dependencies."""

VERSION = "/opt/hostwright/tools/rg/1/rg-1"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


def rg(server: FileServer, version: str) -> ToolPin:
    content = tarball({f"rg-{version}/rg": says(f"rg {version}"), f"rg-{version}/doc/guide": "read me"})
    server.files[f"/rg-{version}.tar.gz"] = content
    one = asset(server.url(f"/rg-{version}.tar.gz"), content)
    return ToolPin("rg", version, {"rg": "rg"}, {"linux-x86_64": one, "linux-aarch64": one})


def converge(deploys: Deploys, *pins: ToolPin) -> tuple[str, ...]:
    deploys.pins = [asdict(pin) for pin in pins]
    return deploys.converge("tools", [pin.name for pin in pins])


def said(host: Host, command: str) -> str:
    """By somebody who is not root, through PATH."""
    return host.run(["setpriv", "--reuid=65534", "--clear-groups", *command.split()]).output.strip()


DRIFTS = (
    ("ln -sf /bin/true /usr/local/bin/rg", "link rg in place of a link to /bin/true"),
    ("rm /usr/local/bin/rg; cp /bin/true /usr/local/bin/rg", "link rg in place of a file"),
    (f"echo 'echo more' >> {VERSION}/rg", "install 1 again: rg-1/rg was altered"),
    (f"chown nobody {VERSION}/rg", "install 1 again: rg-1/rg belongs to another"),
)
"""The others are in test_tool.py, where they take milliseconds."""


def test_a_tool_comes_every_drift_is_repaired_and_versions_switch(deploys: Deploys, server: FileServer) -> None:
    host = deploys.host
    first, second = rg(server, "1"), rg(server, "2")
    (change,) = converge(deploys, first)
    assert re.fullmatch(r"tool:rg \| install 1 \(\d+ bytes to download\), link rg", change)
    assert said(host, "rg") == "rg 1"
    for by_hand, repair in DRIFTS:
        host.run(by_hand)
        assert converge(deploys, first) == (f"tool:rg | {repair}",), by_hand
        assert said(host, "rg") == "rg 1", by_hand
    converge(deploys, second)
    assert said(host, "rg") == "rg 2"
    server.files.clear()
    assert converge(deploys, first) == ("tool:rg | point rg to 1 (was rg 2)",)


def test_a_tool_that_does_not_match_its_pin_is_refused(deploys: Deploys, server: FileServer) -> None:
    pin = replace(rg(server, "3"), name="other", bin={"other": "rg"})
    server.files["/rg-3.tar.gz"] = b"x" * pin.assets["linux-x86_64"].size
    deploys.pins = [asdict(pin)]
    told = deploys.apply("tools", ["other"])
    assert "is not what lock.yaml pins" in told.failed["tool:other"]
    assert pin.assets["linux-x86_64"].sha256 in told.failed["tool:other"]
    assert deploys.host.run("command -v other", check=False).code != 0


def test_a_command_of_somebody_else_stays(deploys: Deploys, server: FileServer) -> None:
    deploys.host.write("/usr/local/bin/theirs", says("theirs"), mode=0o755)
    deploys.pins = [asdict(replace(rg(server, "4"), name="theirs", bin={"theirs": "rg"}))]
    told = deploys.apply("tools", ["theirs"])
    assert "/usr/local/bin/theirs is a file that is not ours" in told.failed["tool:theirs"]
    assert said(deploys.host, "theirs") == "theirs"


def compiled(host: Host) -> ToolPin:
    """As ``hostwright lock`` would pin it."""
    argv = [UV, "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header", "-"]
    text = host.run(argv, input=PYTHON_TOOL.encode()).output.replace("\\\n", " ")
    lines = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    version = lines[0].split(" ")[0].partition("==")[2]
    return ToolPin(PYTHON_TOOL, version, {PYTHON_TOOL: PYTHON_TOOL}, requirements=lines)


def test_a_python_tool_has_an_environment_of_its_own(deploys: Deploys) -> None:
    host = deploys.host
    pin = compiled(host)
    assert converge(deploys, pin) == (f"tool:{PYTHON_TOOL} | install {pin.version}, link {PYTHON_TOOL}",)
    assert "moo" in said(host, f"{PYTHON_TOOL} -t moo")
    place = f"/opt/hostwright/tools/{PYTHON_TOOL}/{pin.version}"
    host.run(f"rm -r {place}/lib/python3*/site-packages/{PYTHON_TOOL}")
    (change,) = converge(deploys, pin)
    assert "again: lib/python3" in change
    host.run(f'sed -i \'s,"interpreter": "[^"]*","interpreter": "/usr/bin/python3.0",\' {place}/.hostwright.json')
    assert converge(deploys, pin) == (
        f"tool:{PYTHON_TOOL} | install {pin.version} again: /usr/bin/python3.0 is no longer this host's Python",
    )


def test_a_wheel_with_another_hash_is_refused(deploys: Deploys) -> None:
    pin = compiled(deploys.host)
    wrong = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", pin.requirements[0])
    deploys.pins = [asdict(replace(pin, name="wrong", bin={"wrong": PYTHON_TOOL}, requirements=(wrong,)))]
    told = deploys.apply("tools", ["wrong"])
    assert "0" * 64 in told.failed["tool:wrong"]
    assert deploys.host.run("ls -A /opt/hostwright/tools/.staging /opt/hostwright/tools/wrong", check=False).output in (
        "",
        "/opt/hostwright/tools/.staging:\n",
    )


REMOVED = """
import json, sys
from agent.deploys.kind import kind_named
from agent.domain.ownership import LedgerEntry, Origin
kind = kind_named("tool")
seen = kind.look(sys.argv[1])
kept = kind.remove([LedgerEntry("tool:" + sys.argv[1], "tools", 0, Origin.CREATED)], purge=False)
json.dump([dict(seen.state), dict(kept), kind.look(sys.argv[1]) is None], sys.stdout)
"""


def test_a_tool_that_left_git_leaves_the_host(deploys: Deploys, server: FileServer) -> None:
    pin: Any = replace(rg(server, "5"), name="leaving", bin={"leaving": "rg"})
    converge(deploys, pin)
    deploys.host.run([PYTHON, "-I", "-c", REMOVED, "leaving"])
    gone = deploys.host.run("ls -d /opt/hostwright/tools/leaving /usr/local/bin/leaving", check=False)
    assert gone.output == ""
