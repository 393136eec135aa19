"""A booted host that follows a config repo of its own, and what faults are told by: exit codes, reports, files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import following, point, wake
from tests.stories.world import World

REMOTE = "/srv/config.git"
SETTINGS = "/etc/hostwright/agent.yaml"
MOTD = "/etc/motd"
FLEET = "schedule: {fetch: 1h, drift: 1h, settle: 0s, deploy_timeout: 60s}\n"
SITE = """\
- hosts: all
  deploys:
    - files: {/etc/motd: {content: "%s\\n"}}
"""


@dataclass
class Patient:
    host: Host
    world: World

    def want(self, word: str) -> None:
        """A commit by which /etc/motd says ``word``."""
        self.world.commit(f"Say {word}", {"inventories/lab/site.yaml": SITE % word})
        self.push()

    def push(self) -> None:
        self.host.push(self.world.bare, REMOTE)

    def cycle(self) -> int:
        """One cycle as systemd runs it; its exit code."""
        self.host.run("systemctl start hostwright-cycle", check=False, timeout_s=120)
        return int(self.host.run("systemctl show -P ExecMainStatus hostwright-cycle").output)

    @contextmanager
    def set_to(self, key: str, value: str) -> Iterator[None]:
        """One setting of the host, for as long as this lasts."""
        before = self.host.read(SETTINGS)
        lines = [line for line in before.splitlines() if not line.startswith(f"{key}:")]
        self.host.write(SETTINGS, "\n".join([*lines, f"{key}: {value}"]) + "\n", mode=0o600)
        try:
            yield
        finally:
            self.host.write(SETTINGS, before, mode=0o600)

    @property
    def says(self) -> str:
        return self.host.read(MOTD).strip()

    def report(self) -> dict[str, Any]:
        """The newest on the status branch."""
        shown = self.host.run(f"git --git-dir={REMOTE} grep -h . status -- 'hosts/*/web1.json'")
        report: dict[str, Any] = json.loads(shown.output)
        return report

    def problems(self) -> list[str]:
        return [problem["kind"] for problem in self.report()["problems"]]

    def is_well(self, word: str) -> bool:
        """Whether it has come to say ``word`` and to report nothing but that."""
        return (self.cycle(), self.says, self.report()["phase"], self.problems()) == (0, word, "converged", [])


def patient(lab: Lab, folder: Path, suite: str = "trixie", **options: Any) -> Patient:
    """At rest: no cycle runs but those that a test asks for. ``folder``: of its world; ``options`` go to Lab.boot."""
    begun = following(lab, suite)
    found = Patient(wake(lab, begun, **options), begun.world.copy(folder))
    found.world.commit("Be quick", {"inventories/lab/fleet.yaml": FLEET})
    found.push()
    point(found.host, REMOTE)
    return found
