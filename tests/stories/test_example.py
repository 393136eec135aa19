"""The example fleet, tried: one of its hosts goes from a bare machine to done in one run, and the whole way back."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.domain.status import report_path
from agent.system.process import run
from tests.bootstrap.conftest import CLONE, ROOT, bootstrap, clone_with, trusting
from tests.gitserver import free_port
from tests.lab.host import Completed, Host
from tests.lab.lab import Lab
from tests.stories.imaging import DECLARED, Image, image_of, undeclared
from tests.system.file_server import file_server

pytestmark = pytest.mark.timeout(900)
"""The way there and back is a minute of apt on a quiet machine, and four on a busy one."""

HOST = "ci1"
"""It gets most kinds of things: packages with security upgrades, people, dotfiles, tools, units, sshd's settings."""

SHOWN = ("inventories/example", "dotfiles", "deploys")

TOOL = """
greet:
  version: "1.0"
  url: "{url}"
  platforms: {{linux-x86_64: {{arch: x86_64}}, linux-aarch64: {{arch: aarch64}}}}
  bin: [greet]
"""
SITE = f"""
- hosts: {HOST}
  deploys:
    - tools: [greet]
    - ssh: {{settings: {{Port: {free_port()}}}}}
    - packages: {{absent: [build-essential]}}
"""
"""What the example does not have: an archive, and a port that nobody has, for an online host shares this
machine's network. Half a minute of downloads is left out."""

TOOLS = {
    "codespell --version": "2.4.",
    "ruff --version": "ruff 0.",
    "greet": "hello from an archive",
    "jq --version": "jq-1.",
}
"""Commands of the three kinds of tools, and how their answers begin."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What was seen on the way there and back. ``report``: what the host said of itself. ``tools``: what they said."""

    before: Image
    bootstrapped: Completed
    plan: Completed
    report: Mapping[str, Any]
    tools: Mapping[str, str]
    uninstalled: Completed
    after: Image


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Iterator[Path]:
    """This repository as it is shipped, with a tool more, locked by `hostwright lock` from a web server that runs."""
    folder = tmp_path_factory.mktemp("repository") / "hostwright"
    files = {f"{path.relative_to(ROOT)}": path.read_text() for path in shown()}
    with file_server() as server:
        server.files.update({f"/greet-1.0-{arch}.tar.gz": archive(arch) for arch in ("x86_64", "aarch64")})
        files["inventories/example/tools.yaml"] += TOOL.format(url=server.url("/greet-{{ version }}-{{ arch }}.tar.gz"))
        files["inventories/example/site.yaml"] += SITE
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        argv = [sys.executable, "-I", "-m", "agent", "--repo", f"{folder}", "--inventory", "example", "lock", "greet"]
        locked = run(argv, timeout_s=60, env=dict(environment))
        assert locked.ok, locked.complaint
        yield clone_with(folder, {})


def shown() -> list[Path]:
    return [path for part in SHOWN for path in (ROOT / part).rglob("*") if path.is_file() and path.suffix != ".pyc"]


def archive(arch: str) -> bytes:
    """Nothing but a folder with a program, as releases mostly are; one a platform."""
    program = f"#!/bin/sh\necho hello from an archive for {arch}\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(f"greet-1.0-{arch}/bin/greet")
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
    return buffer.getvalue()


@pytest.fixture(scope="module", params=[pytest.param("bookworm", marks=pytest.mark.long), "trixie"])
def journey(request: pytest.FixtureRequest, lab: Lab, clone: Path) -> Journey:
    with lab.boot(request.param, image="base", name=HOST, online=True) as machine:
        machine.push(clone, CLONE)
        trust = trusting(machine)
        before = image_of(machine)
        there = ("--inventory", "example", "--host", HOST, "--trust", "unsigned")
        return Journey(
            before,
            bootstrapped=bootstrap(machine, *trust, *there, offline=False),
            plan=machine.run("hostwright plan", check=False),
            report=report(machine),
            tools={command: machine.run(command, check=False).output for command in TOOLS},
            uninstalled=machine.run("hostwright --json uninstall", check=False, timeout_s=600),
            after=image_of(machine),
        )


def report(machine: Host) -> Mapping[str, Any]:
    origin = "/var/lib/hostwright/origin.git"
    told = machine.run(["git", "-C", origin, "show", f"status:{report_path(HOST)}"], check=False).output
    found: Mapping[str, Any] = json.loads(told or "{}")
    return found


def test_a_bare_machine_becomes_a_host_of_the_example_in_one_run(journey: Journey) -> None:
    assert journey.bootstrapped.code == 0, journey.bootstrapped.error
    assert journey.plan.code == 0, journey.plan.output
    assert (journey.report["phase"], journey.report["problems"]) == ("converged", [])


def test_every_tool_of_it_runs(journey: Journey) -> None:
    assert {command: said.startswith(TOOLS[command]) for command, said in journey.tools.items()} == dict.fromkeys(
        TOOLS, True
    ), journey.tools


def test_the_machine_is_given_back_as_it_was(journey: Journey) -> None:
    assert journey.uninstalled.code == 0, journey.uninstalled.error
    assert json.loads(journey.uninstalled.output)["data"]["failed"] == []
    left = undeclared(journey.before, journey.after, DECLARED)
    assert not left, "\n".join(left)
