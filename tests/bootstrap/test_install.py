"""A machine becomes a host: the whole way, again, half way, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bootstrap.conftest import CLONE, WHEELS, Boot, Installed, bootstrap, traces, trusting
from tests.lab.host import Host
from tests.lab.images import SUITES, Image
from tests.lab.lab import Lab

BASELINE = "/var/lib/hostwright/ledger/packages-before"

MOST_EXPOSED = {"hostwright.service": 2.5, "hostwright-webhook.service": 1.7}
"""systemd-analyze's score of the daemon, 0 to 10; docs/security.md says what is left and why."""


Install = Callable[[str], Installed]

SNAPSHOT = (
    "find /opt/hostwright /etc/hostwright /etc/systemd/system /usr/local/bin /var/lib/hostwright/identity"
    " -printf '%p %T@ %i %l\\n' | grep -v __pycache__ | sort; systemctl show -p MainPID hostwright"
)


@pytest.mark.parametrize("suite", SUITES)
def test_a_clone_and_one_command_make_a_host_that_is_kept_so(installed: Install, suite: str) -> None:
    machine = installed(suite).machine
    assert machine.read("/etc/greeting") == "hello\n"
    states = machine.run("systemctl is-active hostwright; systemctl is-enabled hostwright").output
    assert states.split() == ["active", "enabled"]
    assert machine.run("hostwright plan").code == 0
    tree = machine.run("git --git-dir=/var/lib/hostwright/origin.git ls-tree -r --name-only status").output
    assert re.search(r"^hosts/[0-9a-f]{2}/localhost\.json$", tree, re.MULTILINE)
    assert "README.md" in tree.split()


def test_the_end_says_what_was_done_where_the_status_is_and_what_is_next(installed: Install) -> None:
    said = installed("bookworm").done.error
    assert "localhost of inventories/local" in said
    assert "hostwright status" in said
    assert re.search(r"git push root@\S+:/var/lib/hostwright/origin\.git main", said)


@pytest.mark.parametrize("suite", SUITES)
def test_the_doctor_finds_nothing_wrong_right_after(installed: Install, suite: str) -> None:
    done = installed(suite).machine.run("hostwright doctor", check=False)
    assert done.code == 0, done.output


def test_a_second_run_changes_nothing(installed: Install) -> None:
    machine = installed("bookworm").machine
    before = machine.run(SNAPSHOT).output
    done = bootstrap(machine)
    assert done.code == 0, done.error
    assert machine.run(SNAPSHOT).output == before
    assert "already" in done.error


@pytest.mark.parametrize("suite", SUITES)
def test_systemd_finds_nothing_wrong_with_the_units(installed: Install, suite: str) -> None:
    machine = installed(suite).machine
    checked = machine.run(
        "systemd-analyze verify hostwright.service hostwright-cycle.service hostwright-rescue.service "
        "hostwright-revert.service hostwright-revert.timer hostwright-webhook.service"
    )
    assert checked.error == ""
    for unit, most in MOST_EXPOSED.items():
        overall = machine.run(f"systemd-analyze security --no-pager {unit} | tail -n 1").output
        score = re.search(rf"{unit}: ([0-9.]+)", overall)
        assert score is not None
        assert float(score[1]) <= most


def test_a_new_commit_in_the_clone_is_taken_up_by_another_run(machine: Host) -> None:
    machine.run(f"sed -i s/hello/welcome/ {CLONE}/inventories/local/site.yaml")
    machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam 'Say it warmer'")
    assert bootstrap(machine).code == 0
    assert machine.read("/etc/greeting") == "welcome\n"


@pytest.mark.parametrize(
    "after_s", [pytest.param(0.5, marks=pytest.mark.long), 1.5, pytest.param(3.0, marks=pytest.mark.long)]
)
def test_killed_half_way_and_run_again_it_finishes(boot: Boot, after_s: float) -> None:
    with boot() as machine:
        machine.run(f"systemd-run --quiet --collect --unit=attempt {CLONE}/bootstrap.sh --wheelhouse {WHEELS}")
        machine.run(f"sleep {after_s}; systemctl kill --signal=KILL attempt", check=False)
        done = bootstrap(machine)
        assert done.code == 0, done.error
        assert machine.run("systemctl is-active hostwright").output == "active\n"
        assert machine.read("/etc/greeting") == "hello\n"
        assert machine.run("ls -A /opt/hostwright/versions").output.count("\n") == 1


def test_a_clone_of_a_person_becomes_a_repository_of_root(boot: Boot) -> None:
    with boot(image="agent") as machine:
        machine.run(f"useradd -m ann && cp -r {CLONE} /home/ann/config && chown -R ann: /home/ann")
        machine.write("/etc/sudoers.d/ann", "ann ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
        command = f"su ann -c 'cd ~/config && sudo ./bootstrap.sh --wheelhouse {WHEELS}'"
        done = machine.run(command, check=False, timeout_s=300)
        assert done.code == 0, done.error
        assert machine.run("find /var/lib/hostwright /etc/hostwright /opt/hostwright ! -user root").output == ""


LONG = """\
- hosts: all
  deploys:
    - files:
        /etc/greeting: {{content: "\\
{}        "}}
"""


def test_plan_shows_what_would_change_and_starts_nothing(boot: Boot) -> None:
    with boot() as machine:
        long = "".join(f"        - line {number}\\n\\\n" for number in range(99))
        machine.write(f"{CLONE}/inventories/local/site.yaml", LONG.format(long))
        machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam 'Greet at length'")
        done = bootstrap(machine, "--plan", "-v")
        assert done.code == 10, done.error
        assert "/etc/greeting" in done.output + done.error
        assert "line 98" in done.output, "-v shows a new file whole"
        assert machine.run("test -e /etc/greeting || test -e /usr/local/bin/hostwright", check=False).code == 1
        assert machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]).code == 0
        assert traces(machine) == []


SLOW = """\
- hosts: all
  deploys:
{}    - command: {{wait: {{run: [sh, -c, "touch /run/waits; sleep 3"], creates: /none}}}}
"""


def interrupted(machine: Host, signal: str, before: str) -> str:
    """What a run says that gets a signal while its first cycle is in the middle of a command."""
    machine.write(f"{CLONE}/inventories/local/site.yaml", SLOW.format(before))
    machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam 'Be slow'")
    machine.run(f"systemd-run -q --unit=attempt -p KillMode=process {CLONE}/bootstrap.sh --wheelhouse {WHEELS}")
    machine.run("until [ -e /run/waits ]; do sleep 0.1; done; rm /run/waits", timeout_s=60)
    machine.run(f"systemctl kill --kill-whom=main --signal={signal} attempt")
    machine.run("while systemctl is-active -q attempt; do sleep 0.1; done; systemctl reset-failed attempt || true")
    return machine.run("journalctl -o cat -u attempt").output


@pytest.mark.parametrize("signal", ["HUP", pytest.param("TERM", marks=pytest.mark.long)])
def test_a_signal_in_the_first_cycle_takes_back_what_was_written(boot: Boot, signal: str) -> None:
    with boot() as machine:
        said = interrupted(machine, signal, "")
        assert f"interrupted by SIG{signal}, what was written is taken back: run this again" in said
        assert traces(machine) == []
        assert machine.run("systemctl is-enabled hostwright", check=False).code != 0


def test_a_signal_after_the_first_cycle_changed_something_leaves_what_can_give_it_back(boot: Boot) -> None:
    with boot(image="agent") as machine:
        said = interrupted(machine, "HUP", "    - files: {/etc/greeting: {content: hello}}\n")
        assert "run this again to go on, or --uninstall to give the machine back" in said
        assert machine.run("systemctl is-enabled hostwright", check=False).output == "disabled\n"
        assert machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]).code == 0
        assert (traces(machine), machine.run("ls /etc/greeting", check=False).output) == ([], "")


def test_once_converges_and_installs_no_service(boot: Boot) -> None:
    with boot(image="agent") as machine:
        done = bootstrap(machine, "--once")
        assert (done.code, "next " in done.error) == (0, False)
        assert machine.read("/etc/greeting") == "hello\n"
        assert not [path for path in traces(machine) if path.startswith("/etc/systemd")]


def test_without_systemd_it_converges_once_and_says_how_to_go_on(boot: Boot) -> None:
    with boot(image="agent") as machine:
        hidden = f"mount -t tmpfs none /run/systemd && exec {CLONE}/bootstrap.sh --wheelhouse {WHEELS}"
        done = machine.run(["unshare", "--mount", "sh", "-c", hidden], check=False, timeout_s=300)
        assert done.code == 0, done.error
        assert machine.read("/etc/greeting") == "hello\n"
        assert "hostwright daemon" in done.error


def test_uninstalling_gives_the_host_back_and_can_be_done_twice(machine: Host) -> None:
    assert machine.run("hostwright uninstall").code == 0
    assert traces(machine) == []
    assert machine.run("systemctl is-active hostwright", check=False).output == "inactive\n"
    assert machine.run("systemctl --failed --plain --no-legend").output == ""
    assert machine.run("ls /etc/greeting", check=False).code != 0
    assert machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]).code == 0


def test_what_was_kept_is_taken_up_again(machine: Host) -> None:
    public = machine.read("/var/lib/hostwright/identity/ssh_ed25519.pub")
    ledger = machine.run("hostwright --json ledger").output
    machine.run("hostwright uninstall --keep")
    assert machine.read("/etc/greeting") == "hello\n"
    assert bootstrap(machine).code == 0
    assert machine.read("/var/lib/hostwright/identity/ssh_ed25519.pub") == public
    assert machine.run("hostwright --json ledger").output == ledger


@dataclass(frozen=True, slots=True)
class Bare:
    """The packages of a bare machine, and what it was after bootstrap.sh had run twice: the first time in vain."""

    packages: list[str]
    image: Image


@pytest.fixture(scope="module")
def bare(lab: Lab, clone: Path) -> Bare:
    machine = lab.boot("bookworm", image="base", online=True)
    machine.push(clone, CLONE)
    packages = machine.run("dpkg-query -W -f '${Package}\\n' | sort").output.split()
    trust = trusting(machine)
    assert bootstrap(machine, "--branch", "none", *trust, offline=False).code == 4, "packages came, nothing else"
    machine.run("apt-get -qq --yes install tree")
    assert bootstrap(machine, *trust, offline=False).code == 0
    return Bare(packages, machine.freeze())


def test_the_first_baseline_stands_and_what_bootstrap_brought_is_the_agents(lab: Lab, bare: Bare) -> None:
    with lab.boot("bookworm", image=bare.image, online=True) as machine:
        assert sorted(machine.read(BASELINE).split()) == bare.packages
        told = json.loads(machine.run("hostwright --json ledger").output)["data"]
        ours = {entry["key"].removeprefix("package:") for entry in told if entry["deploy"] == "(bootstrap)"}
        assert {"git", "python3-pip-whl", "python3", "libcurl3-gnutls"} <= ours
        assert not ours & {*bare.packages, "tree"}
        assert bootstrap(machine, *trusting(machine), offline=False).code == 0
        assert sorted(machine.read(BASELINE).split()) == bare.packages
        assert machine.run("ls /run/hostwright-bootstrap.packages", check=False).code != 0


def test_packages_of_its_own_that_do_not_go_are_told_with_the_command(lab: Lab, bare: Bare) -> None:
    """The last step of uninstall, which runs without Python."""
    with lab.boot("bookworm", image=bare.image, online=True) as machine:
        machine.write("/var/lib/dpkg/info/git.prerm", "#!/bin/sh\nexit 1\n", mode=0o755)
        gone = machine.run("hostwright --json uninstall", check=False, timeout_s=600)
        assert (gone.code, json.loads(gone.output)["exit"]) == (3, 3)
        assert "the packages that it needed could not be removed" in gone.error
        assert "remove them by hand: apt-get" in gone.error
        assert machine.run("ls /opt/hostwright /etc/hostwright", check=False).code != 0


@pytest.mark.long  # The stories of the example and of uninstall begin in the same way, one on each suite.
@pytest.mark.parametrize("suite", SUITES)
def test_a_bare_debian_gets_what_is_missing_and_converges(lab: Lab, clone: Path, suite: str) -> None:
    with lab.boot(suite, image="base", online=True) as machine:
        machine.push(clone, CLONE)
        done = bootstrap(machine, *trusting(machine), offline=False)
        assert done.code == 0, done.error
        assert machine.read("/etc/greeting") == "hello\n"
