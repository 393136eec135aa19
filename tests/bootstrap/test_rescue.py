"""The agent's Python is taken away, as an upgrade of the distribution does it: the host builds the environment anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bootstrap.conftest import CLONE, WHEELS, bootstrap, trusting
from tests.bootstrap.test_install import SNAPSHOT
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.world import rest, until

FIRST = "/usr/local/bin/python3"
"""The first Python on PATH is the one that the environment is made with."""

LATER = "mkdir /opt/later && cp $(readlink -f /usr/bin/python3) /opt/later/python3 && ln -s /opt/later/python3 " + FIRST
"""A Python that is as good as the system's, and can be taken away without it."""

LINKED = f"""
cd /opt/hostwright/current
ln -sfn {FIRST} bin/python3
sed -i -e 's,^home = .*,home = /usr/local/bin,' -e 's,^executable = .*,executable = /opt/later/python3,' pyvenv.cfg
"""
"""The environment as that Python makes it."""

VENV = "/usr/lib/python3.11/venv"

UPGRADE = """\
set -e
sed -i s/bookworm/trixie/ /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Options::=--force-confnew full-upgrade
apt-get -q -y autoremove --purge
"""
UPGRADE_TIMEOUT_S = 1200


@pytest.fixture
def on_later(machine: Host) -> Host:
    """A bootstrapped host whose environment was made with the Python that can be taken away."""
    machine.run(LATER + LINKED)
    machine.run("hostwright --version && systemctl restart hostwright")
    return machine


def take_python_away(machine: Host) -> None:
    machine.run(f"rm -r {FIRST} /opt/later")
    assert machine.run("hostwright --version", check=False).code != 0


def commit(machine: Host, greeting: str) -> None:
    """As an administrator pushes to the host's own remote."""
    machine.run(f"sed -i 's/content: .*/content: \"{greeting}\\\\n\"}}/' {CLONE}/inventories/local/site.yaml")
    machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam Change")
    machine.run(f"git -C {CLONE} push -q /var/lib/hostwright/origin.git HEAD:main")


def test_a_host_whose_python_is_gone_has_it_completed_by_the_package_manager_heals_itself_and_tells(
    on_later: Host,
) -> None:
    machine = on_later
    daemon = machine.run("systemctl show -P MainPID hostwright").output
    # Behind the cycle that the daemon began with: its next one is a minute away.
    machine.run("hostwright trigger --wait")
    take_python_away(machine)
    (kept,) = machine.run("ls /opt/hostwright/rescue/*/sources").output.split()
    assert "\ninstall env DEBIAN_FRONTEND=noninteractive " in machine.read(kept)
    assert "\npythons python3-venv " in machine.read(kept)
    machine.run(f"mv {VENV} /root/venv")
    machine.write("/root/install", f"echo $1 >>/root/asked; mv /root/venv {VENV}\n")
    machine.run(f"sed -i 's,^install .*,install sh /root/install,' {kept}")
    commit(machine, "healed")
    machine.run("systemctl start hostwright-cycle", timeout_s=300)
    assert machine.read("/root/asked") == "python3-venv\n"
    assert machine.read("/etc/greeting") == "healed\n"
    assert machine.run("readlink -f /opt/hostwright/current/bin/python").output.startswith("/usr/bin/")
    until(lambda: machine.run("systemctl show -P MainPID hostwright").output not in ("0\n", daemon), "a new daemon")
    until(lambda: machine.run("systemctl is-active hostwright", check=False).output == "active\n", "it is ready")
    told = json.loads(machine.run("hostwright --json events").output)["data"]
    assert [event["kind"] for event in told].count("rescued") == 1


def test_what_cannot_be_built_says_what_to_do_is_not_tried_all_the_time_and_can_be_mended(on_later: Host) -> None:
    machine = on_later
    rest(machine)
    take_python_away(machine)
    machine.run(f"mv {WHEELS} /srv/elsewhere && mkdir {WHEELS}")
    for _ in range(2):
        machine.run("systemctl start hostwright-cycle", check=False, timeout_s=300)
    said = machine.run("journalctl -u hostwright-rescue -o cat --no-pager").output
    assert said.count("building the environment anew") == 1
    assert "uv cannot be installed" in said, said
    assert "tried a short while ago" in said
    machine.run(f"rmdir {WHEELS} && mv /srv/elsewhere {WHEELS}")
    assert bootstrap(machine).code == 0
    assert machine.run("hostwright plan").code == 0


def test_on_a_host_that_is_well_it_changes_nothing(machine: Host) -> None:
    rest(machine)
    before = machine.run(SNAPSHOT).output
    done = machine.run("sh /opt/hostwright/rescue/rescue.sh build")
    assert (done.output, done.error) == ("", "")
    assert machine.run(SNAPSHOT).output == before


@pytest.mark.long
@pytest.mark.timeout(UPGRADE_TIMEOUT_S + 300)
def test_a_host_lives_through_an_upgrade_of_its_distribution(lab: Lab, clone: Path) -> None:
    with lab.boot("bookworm", online=True) as machine:
        machine.push(clone, CLONE)
        assert bootstrap(machine, *trusting(machine), offline=False).code == 0
        machine.write("/root/upgrade", UPGRADE)
        machine.run("sh /root/upgrade", timeout_s=UPGRADE_TIMEOUT_S)
        commit(machine, "upgraded")
        until(lambda: machine.run("hostwright trigger --wait", check=False).code == 0, "an agent on the new Python")
        assert machine.read("/etc/greeting") == "upgraded\n"
        assert "/usr/bin/python3.13" in machine.run("readlink -f /opt/hostwright/current/bin/python").output
