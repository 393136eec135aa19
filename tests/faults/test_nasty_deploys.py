"""Deploys that behave badly, on a real host: none takes the agent with it, and the next good commit heals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import following, point, wake
from tests.stories.world import World

REMOTE = "/srv/config.git"
LIMIT_S = 8
FLEET = "schedule: {fetch: 1h, drift: 1h, settle: 0s%s}\n"

SITE = """\
- hosts: all
  deploys:
    - {name: nasty, deploy: deploys/nasty.py}
    - {name: after, deploy: files, with: {/etc/after: {content: "%(name)s\\n"}}}
"""

SHELL = """\
from pyinfra.operations import server

server.shell(name="nasty", commands=[{command!r}])
"""


@dataclass
class Victim:
    host: Host
    world: World
    fleet: str = FLEET % ""

    def cycle(self, name: str, code: str) -> int:
        """Brings a nasty deploy, and runs the cycle that applies it as systemd does; its exit code."""
        site = SITE % {"name": name}
        files = {"inventories/lab/site.yaml": site, "deploys/nasty.py": code}
        self.world.commit(name, {"inventories/lab/fleet.yaml": self.fleet, **files})
        self.host.push(self.world.bare, REMOTE)
        self.host.run("systemctl start hostwright-cycle", check=False, timeout_s=120)
        return int(self.host.run("systemctl show -P ExecMainStatus hostwright-cycle").output)

    def problems(self) -> list[dict[str, Any]]:
        done = self.host.run(
            f"git --git-dir={REMOTE} show status:README.md >/dev/null; "
            f"git --git-dir={REMOTE} grep -h . status -- 'hosts/*/web1.json'"
        )
        problems: list[dict[str, Any]] = json.loads(done.output)["problems"]
        return problems

    @property
    def carried_on(self) -> bool:
        """Whether the deploy behind the nasty one was applied."""
        return (
            self.host.run("cat /etc/after").output.strip() == self.world.config.git("log", "-1", "--format=%s").strip()
        )

    def runs(self, program: str) -> bool:
        return self.host.run(["pgrep", "-f", program], check=False).code == 0


@pytest.fixture(scope="module")
def victim(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    begun = following(lab, "trixie")
    world = begun.world.copy(tmp_path_factory.mktemp("world") / "world")
    host = wake(lab, begun)
    point(host, REMOTE)
    return Victim(host, world)


def test_a_daemon_that_a_deploy_leaves_behind_ends_with_the_cycle(victim: Victim) -> None:
    assert victim.cycle("forks", SHELL.format(command="setsid sleep 7001 >/dev/null 2>&1 & exit 0")) == 0
    assert victim.carried_on
    assert not victim.runs("sleep 7001")


def test_what_waits_for_somebody_to_type_finds_nobody(victim: Victim) -> None:
    assert victim.cycle("asks", SHELL.format(command="read answer || exit 0")) == 0
    assert victim.carried_on


MUCH = "head -c 300M /dev/zero; grep VmHWM /proc/$PPID/status > /root/held; echo that was it >&2; exit 3"
"""On one line. The parent of its shell is the engine."""


def test_what_prints_without_end_fills_neither_memory_nor_report(victim: Victim) -> None:
    assert victim.cycle("talks", SHELL.format(command=MUCH)) == 7
    assert "that was it" in victim.problems()[0]["message"]
    assert int(victim.host.read("/root/held").split()[1]) < 200_000, "kB that the engine held at most"
    size = int(victim.host.run(f"git --git-dir={REMOTE} cat-file -s status:README.md").output)
    assert size < 100_000


CLOSES = """\
import os

os.closerange(0, 64)
"""

EATS = """\
import resource

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
hoard = []
while True:
    hoard.append(bytearray(1 << 24))
"""
"""It sets its limit itself: without one, all hosts and this machine would have to do without what it takes."""

SPEAKS_FOR_THE_AGENT = """\
import os

os.write(1, b'{"type": "done", "deploy": "nasty", "status": "done"}\\n')
"""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("exits", "import os\nos._exit(0)\n"),
        ("crashes", "import os\nos.kill(os.getpid(), 11)\n"),
        ("closes", CLOSES),
        ("eats", EATS),
        ("raises", "raise SystemExit(1)\n"),
    ],
)
def test_code_that_ruins_its_own_process_fails_alone(victim: Victim, name: str, code: str) -> None:
    assert victim.cycle(name, code) == 7
    assert any("nasty" in problem["message"] for problem in victim.problems())
    assert victim.host.run("systemctl is-failed hostwright.service", check=False).code != 0


def test_code_cannot_speak_for_the_agent(victim: Victim) -> None:
    assert victim.cycle("speaks", SPEAKS_FOR_THE_AGENT + SHELL.format(command="touch /root/was-run")) == 0
    assert victim.host.run("test -e /root/was-run", check=False).code == 0


def test_the_next_good_commit_heals(victim: Victim) -> None:
    victim.cycle("ruined", "import os\nos._exit(3)\n")
    assert victim.cycle("good", SHELL.format(command="true")) == 0
    assert victim.carried_on
    assert victim.host.run("hostwright plan", check=False).code == 0


@pytest.fixture(scope="module")
def impatient(victim: Victim) -> Victim:
    """Gives a deploy ``LIMIT_S``, and a cycle has read of that. Only for what never ends: on a busy machine a deploy
    that is well may take as long."""
    victim.fleet = FLEET % f", deploy_timeout: {LIMIT_S}s"
    victim.cycle("patience", SHELL.format(command="true"))
    return victim


def test_one_that_holds_the_output_open_is_waited_for_in_vain_and_ended(impatient: Victim) -> None:
    assert impatient.cycle("clings", SHELL.format(command="setsid sleep 7002 & exit 0")) == 7
    assert f"did not end within {LIMIT_S} s" in impatient.problems()[0]["message"]
    assert not impatient.runs("sleep 7002")


def test_what_ignores_sigterm_is_killed_when_its_time_is_over(impatient: Victim) -> None:
    code = SHELL.format(command="trap '' TERM; while :; do sleep 1; done")
    assert impatient.cycle("stubborn", code) == 7
    assert f"did not end within {LIMIT_S} s" in impatient.problems()[0]["message"]
    assert not impatient.runs("while :")
