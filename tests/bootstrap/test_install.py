"""A machine becomes a host: the whole way, again, half way, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bootstrap.conftest import (
    BOOTSTRAP_TIMEOUT_S,
    CLONE,
    WHEELS,
    Boot,
    Bootstrapped,
    Installed,
    bootstrap,
    traces,
    trusting,
)
from tests.lab.host import Completed, Host
from tests.lab.images import SUITES
from tests.lab.installed import bare
from tests.lab.lab import Lab

BASELINE = "/var/lib/hostwright/ledger/packages-before"

MOST_EXPOSED = {"hostwright.service": 2.5, "hostwright-webhook.service": 1.7}
"""systemd-analyze's score of the daemon, 0 to 10; docs/security.md says what is left and why."""


Install = Callable[[str], Installed]

ONLY_BUILT = "rm /usr/local/bin/hostwright /opt/hostwright/current"
"""On the image ``agent``: bootstrap.sh has built the environment, and nothing after that."""

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


@pytest.fixture(scope="module")
def machine(lab: Lab, bootstrapped: Bootstrapped) -> Iterator[Host]:
    """A bootstrapped host for all tests that change it; the last one takes the agent away."""
    with lab.boot("bookworm", image=bootstrapped("bookworm")[0]) as machine:
        yield machine


def test_a_new_commit_in_the_clone_is_taken_up_by_another_run(machine: Host) -> None:
    machine.run(f"sed -i s/hello/welcome/ {CLONE}/inventories/local/site.yaml")
    machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam 'Say it warmer'")
    assert bootstrap(machine).code == 0
    assert machine.read("/etc/greeting") == "welcome\n"


def test_what_was_kept_is_taken_up_again(machine: Host) -> None:
    public = machine.read("/var/lib/hostwright/identity/ssh_ed25519.pub")
    ledger = machine.run("hostwright --json ledger").output
    greeting = machine.read("/etc/greeting")
    machine.run("cp -a /opt/hostwright /root/built && hostwright uninstall --keep")
    assert machine.read("/etc/greeting") == greeting
    assert machine.run("ls /opt/hostwright", check=False).code != 0
    machine.run("mv /root/built /opt/hostwright")  # rather than to build it anew
    assert bootstrap(machine).code == 0
    assert machine.read("/var/lib/hostwright/identity/ssh_ed25519.pub") == public
    assert machine.run("hostwright --json ledger").output == ledger


def test_uninstalling_gives_the_host_back_and_can_be_done_twice(machine: Host) -> None:
    assert machine.run("hostwright uninstall").code == 0
    assert traces(machine) == []
    assert machine.run("systemctl is-active hostwright", check=False).output == "inactive\n"
    assert machine.run("systemctl --failed --plain --no-legend").output == ""
    assert machine.run("ls /etc/greeting", check=False).code != 0
    assert machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]).code == 0


LONG = """\
- hosts: all
  deploys:
    - files:
        /etc/greeting: {{content: "\\
{}        "}}
"""


def test_plan_shows_what_would_change_and_starts_nothing(boot: Boot) -> None:
    with boot(image="agent") as machine:
        machine.run(ONLY_BUILT)
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
{}    - command: {{wait: {{run: [sh, -c, "touch /run/waits; until [ -e /run/go ]; do sleep 1; done"], creates: /none}}}}
"""

HAS_HEARD = r"grep -Eq '^SigIgn:.*[4-7c-f][0-9a-f]{3}$' /proc/$(pgrep -f '[h]ostwright setup')/status"
"""From the first signal on, setup ignores SIGTERM (signal 15)."""


def interrupted(machine: Host, signal: str, before: str) -> str:
    """What a run says that gets a signal while its first cycle is in the middle of a command."""
    machine.write(f"{CLONE}/inventories/local/site.yaml", SLOW.format(before))
    machine.run(f"git -C {CLONE} -c user.name=A -c user.email=a@b commit -qam 'Be slow' --allow-empty")
    machine.run(f"systemd-run -q --unit=attempt -p KillMode=process {CLONE}/bootstrap.sh --wheelhouse {WHEELS}")
    machine.run("until [ -e /run/waits ]; do sleep 0.1; done; rm /run/waits", timeout_s=BOOTSTRAP_TIMEOUT_S)
    machine.run(f"systemctl kill --kill-whom=main --signal={signal} attempt")
    machine.run(f"until {HAS_HEARD}; do sleep 0.1; done; touch /run/go")
    machine.run("while systemctl is-active -q attempt; do sleep 0.1; done; systemctl reset-failed attempt || true")
    machine.run("rm /run/go")
    machine.run(f"git -C {CLONE} reset -q --hard HEAD^")
    return machine.run("journalctl -o cat -u attempt").output


def test_a_signal_after_the_first_cycle_changed_something_leaves_what_can_give_it_back(boot: Boot) -> None:
    with boot(image="agent") as machine:
        said = interrupted(machine, "HUP", "    - files: {/etc/greeting: {content: hello}}\n")
        assert "run this again to go on, or --uninstall to give the machine back" in said
        assert machine.run("systemctl is-enabled hostwright", check=False).output == "disabled\n"
        assert machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]).code == 0
        assert (traces(machine), machine.run("ls /etc/greeting", check=False).output) == ([], "")


@pytest.fixture(scope="module")
def ready(boot: Boot) -> Iterator[Host]:
    """A host with the environment, for all that only adds to it."""
    with boot(image="agent") as machine:
        yield machine


def test_without_systemd_it_converges_once_and_says_how_to_go_on(ready: Host) -> None:
    hidden = f"mount -t tmpfs none /run/systemd && exec {CLONE}/bootstrap.sh --wheelhouse {WHEELS}"
    done = ready.run(["unshare", "--mount", "sh", "-c", hidden], check=False, timeout_s=300)
    assert done.code == 0, done.error
    assert ready.read("/etc/greeting") == "hello\n"
    assert "hostwright daemon" in done.error


def test_once_converges_and_installs_no_service(ready: Host) -> None:
    ready.run("rm -f /etc/greeting")
    done = bootstrap(ready, "--once")
    assert (done.code, "next " in done.error) == (0, False)
    assert ready.read("/etc/greeting") == "hello\n"
    assert not [path for path in traces(ready) if path.startswith("/etc/systemd")]


def test_a_clone_of_a_person_becomes_a_repository_of_root(ready: Host) -> None:
    ready.run(f"useradd -m ann && cp -r {CLONE} /home/ann/config && chown -R ann: /home/ann")
    ready.write("/etc/sudoers.d/ann", "ann ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    command = f"su ann -c 'cd ~/config && sudo ./bootstrap.sh --wheelhouse {WHEELS}'"
    done = ready.run(command, check=False, timeout_s=300)
    assert done.code == 0, done.error
    assert ready.run("find /var/lib/hostwright /etc/hostwright /opt/hostwright ! -user root").output == ""


@pytest.fixture(scope="module")
def untouched(boot: Boot) -> Iterator[Host]:
    """A host without the agent, for all that leaves nothing or goes on from what was left."""
    with boot() as machine:
        yield machine


@pytest.mark.parametrize("signal", ["HUP", pytest.param("TERM", marks=pytest.mark.long)])
def test_a_signal_in_the_first_cycle_takes_back_what_was_written(untouched: Host, signal: str) -> None:
    said = interrupted(untouched, signal, "")
    assert f"interrupted by SIG{signal}, what was written is taken back: run this again" in said
    assert traces(untouched) == []
    assert untouched.run("systemctl is-enabled hostwright", check=False).code != 0


@pytest.mark.parametrize(
    "after_s", [pytest.param(0.5, marks=pytest.mark.long), 1.5, pytest.param(3.0, marks=pytest.mark.long)]
)
def test_killed_half_way_and_run_again_it_finishes(untouched: Host, after_s: float) -> None:
    untouched.run([f"{CLONE}/bootstrap.sh", "--uninstall"])
    untouched.run(f"systemd-run --quiet --collect --unit=attempt {CLONE}/bootstrap.sh --wheelhouse {WHEELS}")
    untouched.run(f"sleep {after_s}; systemctl kill --signal=KILL attempt", check=False)
    done = bootstrap(untouched)
    assert done.code == 0, done.error
    assert untouched.run("systemctl is-active hostwright").output == "active\n"
    assert untouched.read("/etc/greeting") == "hello\n"
    assert untouched.run("ls -A /opt/hostwright/versions").output.count("\n") == 1


@dataclass(frozen=True, slots=True)
class WithoutGit:
    """A machine on which bootstrap.sh ran thrice, twice in vain. ``packages``: before, without git. ``without``: what
    was said when git could not be had."""

    machine: Host
    packages: list[str]
    without: Completed


APT = "/usr/local/sbin/apt-get"
FAILING_APT = """\
#!/bin/sh
case " $* " in *" install "*) ;; *) exec /usr/bin/apt-get "$@" ;; esac
for i in $(seq 100); do ! grep -qsa 'hostwright.setup' /proc/[0-9]*/cmdline || exit 100; sleep 0.1; done
"""
"""Installs nothing, and fails once setup waits for it."""


@pytest.fixture(scope="module")
def without_git(lab: Lab, clone: Path) -> Iterator[WithoutGit]:
    mirror = f"{bare('bookworm')[0]}/srv/mirror"
    with lab.boot("bookworm", image="agent", options=(f"--bind-ro={mirror}:/srv/mirror",)) as machine:
        machine.push(clone, CLONE)
        machine.write("/etc/apt/sources.list", "deb [trusted=yes] copy:/srv/mirror ./\n")
        machine.run(ONLY_BUILT)
        machine.run("apt-get -qq --yes purge git && apt-get -qq --yes autoremove --purge")
        packages = machine.run("dpkg-query -W -f '${Package}\\n' | sort").output.split()
        machine.write(APT, FAILING_APT, mode=0o755)
        without = bootstrap(machine)
        machine.run(f"rm {APT}")
        assert bootstrap(machine, "--branch", "none").code == 4, "packages came, nothing else"
        machine.run("apt-get -qq --yes install tree")
        assert bootstrap(machine).code == 0
        yield WithoutGit(machine, packages, without)


def test_setup_does_nothing_where_the_packages_it_waits_for_do_not_come(without_git: WithoutGit) -> None:
    assert without_git.without.code == 3
    *_, found, last = without_git.without.error.splitlines()
    assert "is already in /opt/hostwright" in found, "setup said nothing, nor the shell that ended it"
    assert last == "bootstrap: apt-get could not install git: see /var/log/hostwright-bootstrap.log"


def test_the_first_baseline_stands_and_what_bootstrap_brought_is_the_agents(without_git: WithoutGit) -> None:
    machine, packages = without_git.machine, without_git.packages
    assert sorted(machine.read(BASELINE).split()) == packages
    told = json.loads(machine.run("hostwright --json ledger").output)["data"]
    ours = {entry["key"].removeprefix("package:") for entry in told if entry["deploy"] == "(bootstrap)"}
    assert {"git", "git-man", "libcurl3-gnutls"} <= ours
    assert not ours & {*packages, "tree"}
    assert bootstrap(machine).code == 0
    assert sorted(machine.read(BASELINE).split()) == packages
    assert machine.run("ls /run/hostwright-bootstrap.packages", check=False).code != 0


def test_packages_of_its_own_that_do_not_go_are_told_with_the_command(without_git: WithoutGit) -> None:
    """The last step of uninstall, which runs without Python."""
    machine = without_git.machine
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
