"""A small world: a config repo on a Git server, and hosts that follow it. Everything in it is real.

world.commit("Say hello", {"inventories/lab/site.yaml": …})      an administrator pushes
world.follow(host)                                              what bootstrap.sh ends with
world.report("web1")                                            what the status branch says
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from agent.domain.status import PAGE, report_path, signature_path
from agent.system.process import run
from tests.gitserver import Author, ConfigRepo
from tests.lab.host import Completed, Host

T = TypeVar("T")

PATIENCE_S = 180.0
"""For a daemon that looks every two seconds, on cores that a second run shares."""

HOSTS = """\
all:
  hosts:
    web1: {}
    web2: {}
  vars:
    greeting: hello
"""

FLEET = """\
schedule: {fetch: 2s, drift: 2s, settle: 0s}
"""
"""A rhythm for tests: nobody wants to wait a minute for each step of a story."""

MOTD = """\
- hosts: all
  deploys:
    - files:
        /etc/motd: {content: "{{ greeting }} from {{ inventory_hostname }}\\n"}
"""


class World:
    def __init__(self, folder: Path) -> None:
        """A new one in ``folder``, or the one that is there."""
        self.folder = folder
        self.served = folder / "served"
        self.bare = self.served / "config.git"
        if self.bare.exists():
            self.config = ConfigRepo.at(folder / "config")
            return
        self.config = ConfigRepo(folder / "config")
        self.config.commit(
            "Begin",
            {
                "inventories/lab/hosts.yaml": HOSTS,
                "inventories/lab/fleet.yaml": FLEET,
                "inventories/lab/site.yaml": MOTD,
            },
        )
        self.served.mkdir()
        self.config.bare(self.bare)

    def copy(self, folder: Path) -> World:
        """The same world in another folder, with a history of its own from now on."""
        shutil.copytree(self.folder, folder, symlinks=True)
        world = World(folder)
        world.config.git("remote", "set-url", "origin", f"{world.bare}")
        return world

    def commit(self, subject: str, files: Mapping[str, str | bytes | None], *, by: Author | None = None) -> str:
        """Commits and pushes; the commit's sha."""
        sha = self.config.commit(subject, files, by=by)
        self.push()
        return sha

    def site(self, text: str, *, by: Author | None = None, **files: str) -> str:
        """The shortest commit of all: a new site.yaml."""
        return self.commit("Change the site", {"inventories/lab/site.yaml": text, **files}, by=by)

    def push(self, *options: str) -> None:
        self.config.git("push", "--quiet", *options, "origin", "main")

    @property
    def head(self) -> str:
        return self.config.head

    def document(self, path: str, repo: Path | None = None) -> bytes:
        done = run(["git", "-C", f"{repo or self.bare}", "show", f"status:{path}"], timeout_s=PATIENCE_S)
        assert done.ok, done.complaint
        return done.output

    def has_report(self, host: str, repo: Path | None = None) -> bool:
        argv = ["git", "-C", f"{repo or self.bare}", "cat-file", "-e", f"status:{report_path(host)}"]
        return run(argv, timeout_s=PATIENCE_S).ok

    def report(self, host: str, repo: Path | None = None) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.document(report_path(host), repo))
        return report

    def signature(self, host: str) -> bytes:
        return self.document(signature_path(host))

    def status(self) -> list[dict[str, Any]]:
        """What an administrator's `hostwright status` says of a clone."""
        argv = [sys.executable, "-I", "-m", "agent", "--json", "--repo", f"{self.config.path}", "status"]
        done = run([*argv, "--remote", f"{self.bare}"], timeout_s=PATIENCE_S, env=dict(os.environ))
        assert done.ok, done.complaint
        told: list[dict[str, Any]] = json.loads(done.output)["data"]
        return told

    def page(self) -> str:
        return self.document(PAGE).decode()


def follow(host: Host, remote: str, *options: str, check: bool = True, name: str = "web1") -> Completed:
    """Sets a host up as bootstrap.sh does behind the installation: tries everything, converges, starts the service.

    A server on this machine's loopback is on the host's from then on."""
    url = urlsplit(remote)
    if url.hostname == "127.0.0.1" and url.port:
        host.reach(url.port)
    trust = () if "--trust" in options or "--trusted-signers" in options else ("--trust", "unsigned")
    command = ["hostwright", "setup", "--repo", remote, "--inventory", "lab", "--host", name, *trust, *options]
    return host.run(command, check=check)


def cycle(host: Host) -> int:
    """Lets the daemon run a cycle and waits for its end; the exit code."""
    return host.run(["hostwright", "trigger", "--wait"], check=False).code


def rest(host: Host) -> None:
    """No more cycles but those that a test asks for."""
    host.run("systemctl stop hostwright.service")
    host.run('while [ "$(systemctl is-active hostwright-cycle)" = activating ]; do sleep 0.1; done')


def apply(host: Host, *options: str) -> Completed:
    return host.run(["hostwright", *options, "apply"], check=False)


def events(host: Host, count: int = 50) -> list[dict[str, Any]]:
    told = host.run(["hostwright", "--json", "events", "-n", str(count)]).output
    found: list[dict[str, Any]] = json.loads(told)["data"]
    return found


def kinds(host: Host) -> list[str]:
    return [event["kind"] for event in events(host)]


def until(holds: Callable[[], T], what: str) -> T:
    """What it returns when that is true or not empty. A second look may see the host in its next cycle. It asks more
    and more seldom: each question takes CPU that the host needs."""
    end, pause_s = time.monotonic() + PATIENCE_S, 0.05
    while not (found := holds()):
        assert time.monotonic() < end, f"did not happen in {PATIENCE_S:.0f} s: {what}"
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.5)
    return found


def spoil(host: Host, text: str, *, owner: str = "root") -> None:
    """Changes /etc/motd by hand, all at once: no cycle and no look comes in between."""
    host.write("/etc/.motd.by-hand", text)
    host.run(f"chown {owner}: /etc/.motd.by-hand && mv /etc/.motd.by-hand /etc/motd")


def stays_at_rest(host: Host, seconds: float = 7.0) -> bool:
    """Waits until a cycle has left the host at rest. True if no other follows while the daemon asks a few times."""

    def rests_until() -> int:
        said = host.run("head -n 1 /run/hostwright/rest", check=False).output
        return int(json.loads(said)["until"]) if said else 0

    until(lambda: rests_until() > time.time() + 60, "a rest with no report due in it")

    def cycles() -> int:
        return int(json.loads(host.read("/var/lib/hostwright/state.json"))["cycles"])

    before = cycles()
    time.sleep(seconds)
    return cycles() == before
