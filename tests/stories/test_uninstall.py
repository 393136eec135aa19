"""The whole way there and back: a bare machine, all kinds of things on it, and the same bare machine again.

What is left is declared beside the image of a host, a reason for each line; anything else fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bootstrap.conftest import CLONE, bootstrap, clone_with
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.imaging import DECLARED, image_of, undeclared
from tests.stories.world import rest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ5wwxnBMTjOoL6HH2zFbGzbiE1Ekz3Tn5BAGmIVWtq ann@lab"

SITE = f"""\
- hosts: all
  deploys:
    - packages: {{present: [sudo, jq, nano, rsync], absent: [iproute2], recommends: false}}
    - users:
        ann: {{uid: 1501, shell: /bin/bash, groups: [crew], sudo: true, keys: ["{KEY}"]}}
        theirs: {{shell: /bin/bash, groups: [crew], keys: ["{KEY}"], sudo: true}}
        groups: {{crew: {{gid: 1500}}}}
    - files:
        /etc/new: {{content: "ours\\n", mode: "0640", group: crew}}
        /etc/issue: {{content: "ours\\n", mode: "0600"}}
        /etc/debian_version: {{absent: true}}
        /etc/nanorc: {{content: "set tabsize 4\\n"}}
        /etc/alternatives-of-ours: {{link: /etc/new}}
        /srv/app/data: {{directory: true, mode: "0750", owner: ann}}
        /etc/hosts: {{block: "10.0.0.1 a\\n"}}
        /etc/profile:
          lines: {{mask: "umask 027", head: {{line: "# ours", match: "^# /etc/profile"}}, x: {{line: X=1, match: ^X=}}}}
        /home/ann/work: {{directory: true, owner: ann}}
    - dotfiles: {{user: ann, sets: [common]}}
    - {{name: of-root, deploy: dotfiles, with: {{user: root, sets: [common]}}}}
    - command: {{noted: {{run: [touch, /home/ann/noted], creates: /home/ann/noted}}}}
    - services:
        lab.service: {{content: "{{unit}}", running: true, enabled: true}}
        lab.timer: {{content: "{{timer}}", running: true, enabled: true}}
        theirs.service: {{content: "{{unit}}", running: false, enabled: false}}
        systemd-timesyncd.service: {{masked: true}}
        getty@.service: {{content: "{{unit}}"}}
        rsync: {{enabled: false}}
"""
SITE = SITE.replace("{unit}", "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n")
SITE = SITE.replace("{timer}", "[Timer]\\nOnCalendar=yearly\\n[Install]\\nWantedBy=timers.target\\n")

THEIRS = """
useradd --create-home --shell /bin/sh theirs
cd /etc/systemd/system
printf '[Service]\\nExecStart=/bin/sleep 1d\\n[Install]\\nWantedBy=multi-user.target\\n' > theirs.service
systemctl daemon-reload
systemctl --quiet enable --now theirs
"""
"""What is on the machine before the agent comes."""


def bare(lab: Lab, suite: str, clone: Path) -> Host:
    machine = lab.boot(suite, image="bare", name="bare")
    machine.push(clone, CLONE)
    machine.run(THEIRS)
    return machine


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "inventories/local/site.yaml": SITE,
        "dotfiles/common/.vimrc": "set number\n",
        "dotfiles/common/.bashrc": "alias ll='ls -l'\n",
        "dotfiles/common/.config/tool/one": "1\n",
    }
    return clone_with(tmp_path_factory.mktemp("repository") / "hostwright", files)


@pytest.mark.parametrize("suite", ["bookworm", pytest.param("trixie", marks=pytest.mark.long)])
def test_a_bare_machine_is_given_back_as_it_was(lab: Lab, clone: Path, suite: str) -> None:
    with bare(lab, suite, clone) as machine:
        before = image_of(machine)
        done = bootstrap(machine)
        assert done.code == 0, done.error
        assert machine.run("hostwright plan").code == 0
        gone = machine.run("hostwright --json uninstall", check=False, timeout_s=600)
        assert gone.code == 0, gone.error
        assert json.loads(gone.output)["data"]["failed"] == []
        left = undeclared(before, image_of(machine), DECLARED)
        assert not left, "\n".join(left)


LEDGER = "/var/lib/hostwright/ledger"

CHANGED = """
echo mine >> /etc/new
echo '# mine' >> /etc/systemd/system/lab.service
echo '# mine' >> /etc/issue
touch /srv/app/data/mine
apt-mark hold jq
apt-get -qq -y install tree
"""
"""What people do to a machine while the agent is there."""


@pytest.mark.long
def test_what_people_changed_or_brought_meanwhile_stays_and_is_listed(lab: Lab, clone: Path) -> None:
    with bare(lab, "bookworm", clone) as machine:
        before = image_of(machine)
        assert bootstrap(machine).code == 0
        rest(machine)
        machine.run(CHANGED)
        gone = machine.run("hostwright uninstall", check=False, timeout_s=600)
        assert gone.code == 0, gone.error
        assert f"kept {LEDGER}" in gone.error
        assert "given back: " in gone.error, "how much, also without -v"
        stayed = [line.removeprefix("stays   ") for line in gone.error.splitlines() if line.startswith("stays ")]
        assert sorted(line.partition(": ")[0] for line in stayed) == [
            *("/home/ann", "directory:/srv/app", "directory:/srv/app/data"),
            *("file:/etc/issue", "file:/etc/new", "package:jq", "unit:lab.service", "what 1 command did"),
        ]
        assert machine.read("/etc/issue") == "ours\n# mine\n"
        left = " ".join(undeclared(before, image_of(machine), DECLARED))
        for theirs in (
            "/etc/issue:",
            "/etc/new:",
            "lab.service:",
            "/srv/app/data/mine:",
            "package jq:",
            "package tree:",
        ):
            assert theirs in left
        for ours in (
            "/opt/hostwright",
            "/etc/hostwright",
            "package git:",
            "package python3:",
            "package nano:",
            "lab.timer",
        ):
            assert ours not in left


def test_a_person_at_a_terminal_is_told_and_asked(lab: Lab) -> None:
    with lab.boot("bookworm", image="agent") as machine:
        machine.write("/root/ask", "script -qec 'hostwright uninstall' /dev/null\n")
        machine.run("mkdir -p /etc/hostwright && touch /etc/hostwright/agent.yaml")
        asked = machine.run(["sh", "-c", "echo n | sh /root/ask"], check=False)
        assert "the agent itself is taken off" in asked.output
        assert "go on? [y/N]" in asked.output
        assert "nothing was changed" in asked.output
        assert machine.run("test -e /etc/hostwright/agent.yaml").code == 0
        machine.run(["sh", "-c", "echo y | sh /root/ask"])
        assert machine.run("test -e /etc/hostwright", check=False).code == 1
