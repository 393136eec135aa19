"""Memory runs out: the kernel kills the deploy that took it, and the agent lives, goes back and says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.following import Followed, following, point, wake
from tests.stories.world import MOTD, World, apply

CONTROLLER = Path("/sys/fs/cgroup/memory")
LIMIT = 600 * 1024 * 1024

HUNGRY = """\
hoard = []
while True:
    hoard.append(bytearray(b"x") * (1 << 24))
"""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """A control group with little memory; what is moved there takes along what it will start."""
    if not (CONTROLLER / "memory.limit_in_bytes").exists():
        pytest.skip("needs the memory controller of cgroup v1, as the machines of the test bed have it")
    group = CONTROLLER / f"hostwright-lab-{tmp_path.name}"
    group.mkdir(exist_ok=True)  # one that was not empty yet when the host of an earlier run had ended
    (group / "memory.limit_in_bytes").write_text(f"{LIMIT}")
    yield group
    with contextlib.suppress(OSError):
        group.rmdir()


@pytest.fixture
def begun(lab: Lab) -> Followed:
    return following(lab, "trixie")


@pytest.fixture
def world(begun: Followed, tmp_path: Path) -> World:
    return begun.world.copy(tmp_path / "world")


@pytest.fixture
def host(lab: Lab, group: Path, begun: Followed, world: World) -> Iterator[Host]:
    with wake(lab, begun, options=(f"--bind={world.served}:/srv",)) as host:
        point(host, "/srv/config.git")
        (group / "cgroup.procs").write_text(f"{host.pid}")
        yield host
        host.destroy()


def test_a_commit_for_which_there_is_not_enough_memory_is_taken_back_and_the_agent_lives(
    world: World, host: Host
) -> None:
    site = f"{MOTD}    - {{name: hungry, deploy: deploys/hungry.py}}\n"
    world.site(site.replace("from", "still from"), **{"deploys/hungry.py": HUNGRY})
    host.run("systemctl start hostwright-cycle", check=False)
    assert host.run("systemctl show -P ExecMainStatus hostwright-cycle").output.strip() == "7"
    assert host.read("/etc/motd") == "hello from web1\n"
    told = " ".join(problem["message"] for problem in world.report("web1")["problems"])
    assert "hungry" in told
    assert "SIGKILL" in told
    world.site(MOTD)
    assert apply(host).code == 0
