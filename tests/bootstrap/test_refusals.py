"""Whatever is wrong ends in a line that says what to do, and leaves the machine as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bootstrap.conftest import CLONE, WHEELS, Boot, Installed, bootstrap, traces
from tests.lab.host import Completed, Host
from tests.lab.lab import Lab

CONFIG = "/srv/config.git"


def refused(machine: Host, done: Completed, code: int, *said: str) -> None:
    assert done.code == code, done.error
    assert "Traceback" not in done.error
    for words in said:
        assert words in done.error
    assert traces(machine) == []


def piped(machine: Host, *options: str) -> Completed:
    """As ``curl … | sh -s -- …`` does it."""
    command = ["sh", "-c", f'cat {CLONE}/bootstrap.sh | (cd / && sh -s -- "$@")', "-", "--wheelhouse", WHEELS, *options]
    return machine.run(command, check=False, timeout_s=300)


def publish(machine: Host) -> None:
    """The clone as a bare repository that belongs to root."""
    machine.run(f"git clone -q --bare {CLONE} {CONFIG}")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "web01"], 6, "does not know a host web01"),
        (["--inventory", "none"], 6, "there is no inventory none"),
        (["--branch", "none"], 4, "no commit on the branch none"),
        (["--repo", "/srv/none.git", "--trust", "unsigned"], 4, "/srv/none.git"),
        (["--repo", "http://127.0.0.1:9/c.git", "--trust", "unsigned"], 4, "127.0.0.1"),
        (["--repo", "ext::sh -c id", "--trust", "unsigned"], 2, "--repo cannot be"),
        (["--repo", "git@git.example:c.git", "--trust", "unsigned"], 5, "no host key of git.example"),
        (["--trust", "signed", "--trusted-signers", "/etc/passwd"], 3, "does not hold allowed signers"),
        (["--code-file", "/etc/passwd"], 3, "/etc/passwd can be read by others"),
    ],
)
def test_what_cannot_be_followed_changes_nothing(
    installed: Callable[[str], Installed], options: list[str], code: int, said: str
) -> None:
    machine = installed("bookworm").machine
    state = "find /etc/hostwright /opt/hostwright/versions -type f | xargs sha256sum"
    before = machine.run(state).output
    done = bootstrap(machine, *options)
    assert (done.code, "Traceback" in done.error) == (code, False), done.error
    assert said in done.error
    assert machine.run(state).output == before
    assert machine.run("systemctl is-active hostwright && hostwright plan").code == 0


def test_setup_by_hand_refuses_a_place_that_others_than_root_can_change(
    installed: Callable[[str], Installed],
) -> None:
    machine = installed("bookworm").machine
    machine.run(f"install -d -o nobody {UNITS}/hostwright.service.d")
    try:
        done = machine.run("hostwright setup", check=False)
    finally:
        machine.run(f"rm -r {UNITS}/hostwright.service.d")
    assert (done.code, f"{UNITS}/hostwright.service.d belongs to uid 65534" in done.error) == (3, True), done.error


def test_what_cannot_be_followed_leaves_nothing_behind(boot: Boot) -> None:
    with boot() as machine:
        refused(machine, bootstrap(machine, "--repo", "/srv/none.git", "--trust", "unsigned"), 4, "/srv/none.git")


UNITS = "/etc/systemd/system"
COMMAND = "/usr/local/bin/hostwright"
PLACES = {
    "a user's folder": ("install -d -o mal /opt/hostwright", "/opt/hostwright"),
    "a folder for all": ("install -d -m 0777 /etc/hostwright", "/etc/hostwright"),
    "a user's link": ("ln -s /root /var/lib/hostwright; chown -h mal /var/lib/hostwright", "/var/lib/hostwright"),
    "root's link to a user's": ("install -d -o mal /srv/x; ln -s /srv/x /opt/hostwright", "/srv/x"),
    "root's link through a user's": (
        "install -d -o mal /srv/x; ln -s /root /srv/x/y; ln -s /srv/x/y /run/hostwright",
        "/srv/x",
    ),
    "a file for all in a cache that all can enter": (
        "install -d /opt/hostwright/.cache; install -m 0666 /dev/null /opt/hostwright/.cache/lock",
        "/opt/hostwright/.cache/lock",
    ),
    "a user's file in root's folder": (
        "install -d /var/lib/hostwright; install -o mal /dev/null /var/lib/hostwright/state.json",
        "/var/lib/hostwright/state.json",
    ),
    "a parent for all": ("chmod 0777 /opt", "/opt"),
    "a user's command": (f"ln -s /srv/x {COMMAND}; chown -h mal {COMMAND}", COMMAND),
    "a folder of commands for all": ("chmod 0777 /usr/local/bin", "/usr/local/bin"),
    "a user's unit": (f"install -o mal /dev/null {UNITS}/hostwright.service", f"{UNITS}/hostwright.service"),
    "a drop-in folder for all": (
        f"install -d -m 0777 {UNITS}/hostwright.service.d",
        f"{UNITS}/hostwright.service.d",
    ),
    "a link for a log": ("ln -sf /etc/shadow /var/log/hostwright-bootstrap.log", "/var/log/hostwright-bootstrap.log"),
}
AS_BEFORE = (
    "rm -rf /opt/hostwright /etc/hostwright /var/lib/hostwright /run/hostwright /usr/local/bin/hostwright /srv/x "
    "/etc/systemd/system/hostwright* /var/log/hostwright-bootstrap.log; chmod 755 /opt /usr/local/bin"
)


@pytest.fixture(scope="module")
def taken(boot: Boot) -> Iterator[Host]:
    """A host without the agent, and with somebody who was there before it."""
    with boot() as machine:
        machine.run("useradd mal")
        yield machine


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_others_than_root_can_change_is_refused(taken: Host, place: str) -> None:
    prepare, named = PLACES[place]
    taken.run(prepare)
    try:
        done = bootstrap(taken)
        assert done.error.startswith(f"bootstrap: {named} can be changed by others than root"), done.error
        assert done.code == 3
        assert taken.run("ls /opt/hostwright/versions /var/lib/hostwright/repo.git", check=False).output == ""
    finally:
        taken.run(AS_BEFORE)


def test_a_remote_that_a_person_can_change_is_refused(boot: Boot) -> None:
    with boot() as machine:
        publish(machine)
        machine.run(f"useradd ann && chown -R ann: {CONFIG}")
        refused(machine, bootstrap(machine, "--repo", CONFIG, "--trust", "unsigned"), 3, "not to root")


def test_without_network_it_says_so(boot: Boot) -> None:
    with boot() as machine:
        refused(machine, bootstrap(machine, offline=False), 4, "no network", "--wheelhouse")


def test_without_network_and_without_git_it_says_so(lab: Lab, clone: Path) -> None:
    with lab.boot("bookworm", image="base") as machine:
        machine.push(clone, CLONE)
        refused(machine, bootstrap(machine, offline=False), 4, "no network")


def test_a_full_disk_is_seen_before_anything_is_written(boot: Boot) -> None:
    with boot(options=("--tmpfs=/opt:size=20M",)) as machine:
        refused(machine, bootstrap(machine), 3, "the disk of /opt is almost full")


def test_a_disk_that_fills_up_half_way_is_given_back(boot: Boot) -> None:
    with boot(options=("--tmpfs=/opt:size=60M",)) as machine:
        machine.run(f"sed -i 's/^NEEDED_BYTES = .*/NEEDED_BYTES = 10**6/' {CLONE}/agent/host/environment.py")
        refused(machine, bootstrap(machine), 3, "the disk is full")


def test_a_package_manager_at_work_is_waited_for_and_then_named(lab: Lab, clone: Path) -> None:
    with lab.boot("bookworm", image="base", online=True) as machine:
        machine.push(clone, CLONE)
        machine.run(f"sed -i 's/^PACKAGE_LOCK_S=.*/PACKAGE_LOCK_S=1/' {CLONE}/bootstrap.sh")
        # dpkg takes fcntl locks, which perl (there on every Debian) can hold: F_WRLCK on the whole file.
        hold = 'open F, ">>/var/lib/dpkg/lock-frontend"; $l = pack "ssx4qqix4", 1; fcntl F, 6, $l; sleep 60'
        machine.write("/root/hold", hold)
        machine.run("systemd-run --quiet perl /root/hold; sleep 0.3")
        refused(machine, bootstrap(machine, offline=False), 75, "another package manager is at work")


def test_a_wheel_that_is_not_the_locked_one_is_refused(boot: Boot) -> None:
    with boot() as machine:
        add = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'a').writestr('schedule/evil.py', '')"
        machine.run(f'python3 -c "{add}" {WHEELS}/schedule-*.whl')
        refused(machine, bootstrap(machine), 4, "not what requirements.txt locks")


def test_two_at_once_do_not_meet(boot: Boot) -> None:
    with boot() as machine:
        machine.run(f"sed -i 's/^PACKAGE_LOCK_S=.*/PACKAGE_LOCK_S=1/' {CLONE}/bootstrap.sh")
        machine.run("systemd-run --quiet flock /run/hostwright-bootstrap.lock sleep 60; sleep 0.3")
        refused(machine, bootstrap(machine), 75, "another bootstrap is running")


def test_a_command_of_somebody_else_is_not_replaced(boot: Boot) -> None:
    with boot() as machine:
        machine.write("/usr/local/bin/hostwright", "theirs\n", mode=0o755)
        done = bootstrap(machine)
        assert done.code == 3
        assert machine.read("/usr/local/bin/hostwright") == "theirs\n"
        assert traces(machine) == ["/usr/local/bin/hostwright"]


def test_piped_it_takes_the_agent_from_the_config_repository(boot: Boot) -> None:
    with boot() as machine:
        publish(machine)
        done = piped(machine, "--repo", CONFIG, "--trust", "unsigned")
        assert done.code == 0, done.error
        assert machine.read("/etc/greeting") == "hello\n"
        assert f"remote: {CONFIG}\n" in machine.read("/etc/hostwright/agent.yaml")


def test_piped_a_repository_without_the_agent_is_not_looked_for_elsewhere(boot: Boot) -> None:
    with boot() as machine:
        machine.run(f"git -C {CLONE} rm -rq agent && git -C {CLONE} -c user.name=A -c user.email=a@b commit -qm Less")
        publish(machine)
        machine.run(f"git -C {CLONE} checkout -q HEAD^ -- . && mv {WHEELS} /srv/other")
        command = f"cat {CLONE}/bootstrap.sh | sh -s -- --repo {CONFIG} --trust unsigned"
        refused(machine, machine.run(command, check=False), 4, "does not hold the agent")


def test_piped_unsigned_code_is_not_run_where_signatures_are_asked_for(boot: Boot) -> None:
    with boot() as machine:
        machine.run("ssh-keygen -q -t ed25519 -N '' -f /root/signer")
        machine.run('echo "ann $(cat /root/signer.pub)" > /root/signers')
        publish(machine)
        signed = ("--repo", CONFIG, "--trusted-signers", "/root/signers")
        refused(machine, piped(machine, *signed), 5, "is not signed by anybody in /root/signers")
        identity = "-c user.name=Ann -c user.email=ann@example.org -c gpg.format=ssh -c user.signingKey=/root/signer"
        machine.run(
            f"git -C {CLONE} {identity} commit -q -S --allow-empty -m Signed && git -C {CLONE} push -q {CONFIG} main"
        )
        done = piped(machine, *signed)
        assert done.code == 0, done.error
        assert "trust: signed" in machine.read("/etc/hostwright/agent.yaml")


def test_piped_the_agent_can_come_as_a_wheel_from_where_one_says(boot: Boot, clone: Path, tmp_path: Path) -> None:
    # A copy of the folder is built, so that the shared clone stays as it was committed.
    shutil.copytree(clone, tmp_path / "source")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=tmp_path / "source", check=True, capture_output=True, timeout=120)
    with boot() as machine:
        machine.push(tmp_path / "dist", WHEELS)
        machine.run(f"git -C {CLONE} rm -rq agent && git -C {CLONE} -c user.name=A -c user.email=a@b commit -qm Less")
        publish(machine)
        machine.run(f"git -C {CLONE} checkout -q HEAD^ -- bootstrap.sh")
        done = piped(machine, "--repo", CONFIG, "--trust", "unsigned")
        assert done.code == 0, done.error
        assert machine.read("/etc/greeting") == "hello\n"


def test_an_agent_whose_python_is_gone_can_still_be_taken_away(machine: Host) -> None:
    machine.run("rm /opt/hostwright/current/bin/python*")
    refused(machine, machine.run([f"{CLONE}/bootstrap.sh", "--uninstall"]), 0, "the agent is gone")
