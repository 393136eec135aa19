"""Whatever is wrong ends in a line that says what to do, and leaves the machine as it was.

So one machine is refused time after time: each refusal begins with what the one before left, which is nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.bootstrap.conftest import CLONE, WHEELS, Boot, Installed, bootstrap, traces
from tests.lab.host import Completed, Host
from tests.lab.lab import Lab

CONFIG = "/srv/config.git"
ANNS = "/srv/anns.git"


def refused(machine: Host, done: Completed, code: int, *said: str, theirs: Sequence[str] = ()) -> None:
    """``theirs``: what lies in our places, and was there before."""
    assert done.code == code, done.error
    assert "Traceback" not in done.error
    for words in said:
        assert words in done.error
    assert traces(machine) == [*theirs]


def piped(machine: Host, *options: str) -> Completed:
    """As ``curl … | sh -s -- …`` does it."""
    command = ["sh", "-c", f'cat {CLONE}/bootstrap.sh | (cd / && sh -s -- "$@")', "-", "--wheelhouse", WHEELS, *options]
    return machine.run(command, check=False, timeout_s=300)


STATE = "find /etc/hostwright /opt/hostwright/versions -type f ! -name '*.pyc' -printf '%p %i %C@\\n' | sort"
"""What changes when a file of the agent does."""


def publish(machine: Host, to: str = CONFIG) -> None:
    """The clone as a bare repository that belongs to root."""
    machine.run(f"git clone -q --bare {CLONE} {to}")


@pytest.fixture(scope="module")
def followed(installed: Callable[[str], Installed]) -> Host:
    """A host that follows its own repository. Another one is there, which a person can change."""
    machine = installed("bookworm").machine
    publish(machine, ANNS)
    machine.run(f"useradd ann && chown -R ann: {ANNS}")
    return machine


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "web01"], 6, "does not know a host web01"),
        (["--inventory", "none"], 6, "there is no inventory none"),
        (["--branch", "none"], 4, "no commit on the branch none"),
        (["--repo", "/srv/none.git", "--trust", "unsigned"], 4, "/srv/none.git"),
        (["--repo", "http://127.0.0.1:9/c.git", "--trust", "unsigned"], 4, "127.0.0.1"),
        (["--repo", "ext::sh -c id", "--trust", "unsigned"], 2, "--repo cannot be"),
        (["--repo", ANNS, "--trust", "unsigned"], 3, "not to root"),
        (["--repo", "git@git.example:c.git", "--trust", "unsigned"], 5, "no host key of git.example"),
        (["--trust", "signed", "--trusted-signers", "/etc/passwd"], 3, "does not hold allowed signers"),
        (["--code-file", "/etc/passwd"], 3, "/etc/passwd can be read by others"),
    ],
)
def test_what_cannot_be_followed_changes_nothing(followed: Host, options: list[str], code: int, said: str) -> None:
    before = followed.run(STATE).output
    done = bootstrap(followed, *options)
    assert (done.code, "Traceback" in done.error) == (code, False), done.error
    assert said in done.error
    assert followed.run(STATE).output == before
    assert followed.run("systemctl is-active hostwright").output == "active\n"


def test_a_host_that_was_refused_all_that_goes_on_with_what_it_had(followed: Host) -> None:
    assert followed.run("hostwright plan").code == 0


def test_setup_by_hand_refuses_a_place_that_others_than_root_can_change(followed: Host) -> None:
    followed.run(f"install -d -o nobody {UNITS}/hostwright.service.d")
    try:
        done = followed.run("hostwright setup", check=False)
    finally:
        followed.run(f"rm -r {UNITS}/hostwright.service.d")
    assert (done.code, f"{UNITS}/hostwright.service.d belongs to uid 65534" in done.error) == (3, True), done.error


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
def untouched(boot: Boot) -> Iterator[Host]:
    """A host without the agent, and with somebody who was there before it."""
    with boot() as machine:
        machine.run("useradd mal")
        yield machine


@contextmanager
def changed(machine: Host, change: str, back: str) -> Iterator[None]:
    """The machine with a ``change``, by lines of shell; ``back`` takes it back."""
    machine.run(change)
    try:
        yield
    finally:
        machine.run(back)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_others_than_root_can_change_is_refused(untouched: Host, place: str) -> None:
    prepare, named = PLACES[place]
    with changed(untouched, prepare, AS_BEFORE):
        done = bootstrap(untouched)
        assert done.error.startswith(f"bootstrap: {named} can be changed by others than root"), done.error
        assert done.code == 3
        assert untouched.run("ls /opt/hostwright/versions /var/lib/hostwright/repo.git", check=False).output == ""


def test_without_network_it_says_so(untouched: Host) -> None:
    refused(untouched, bootstrap(untouched, offline=False), 4, "no network", "--wheelhouse")


def test_a_full_disk_is_seen_before_anything_is_written(untouched: Host) -> None:
    with changed(untouched, "mount -t tmpfs -o size=20M small /opt", "umount /opt"):
        refused(untouched, bootstrap(untouched), 3, "the disk of /opt is almost full")


def test_a_disk_that_fills_up_half_way_is_given_back(untouched: Host) -> None:
    change = f"""
    mount -t tmpfs -o size=60M small /opt
    sed -i 's/^NEEDED_BYTES = .*/NEEDED_BYTES = 10**6/' {CLONE}/agent/host/environment.py
    """
    with changed(untouched, change, f"umount /opt; git -C {CLONE} checkout -q ."):
        refused(untouched, bootstrap(untouched), 3, "the disk is full")


def test_a_wheel_that_is_not_the_locked_one_is_refused(untouched: Host) -> None:
    add = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'a').writestr('schedule/evil.py', '')"
    change = f'cp {WHEELS}/schedule-*.whl /root; python3 -c "{add}" {WHEELS}/schedule-*.whl'
    with changed(untouched, change, f"mv /root/schedule-*.whl {WHEELS}"):
        refused(untouched, bootstrap(untouched), 4, "not what requirements.txt locks")


def impatient(machine: Host) -> AbstractContextManager[None]:
    """bootstrap.sh waits for others no longer than a second."""
    waits = "sed -i 's/^PACKAGE_LOCK_S=.*/PACKAGE_LOCK_S={}/' {}/bootstrap.sh"
    return changed(machine, waits.format(1, CLONE), waits.format(120, CLONE))


def test_two_at_once_do_not_meet(untouched: Host) -> None:
    lock = "/run/hostwright-bootstrap.lock"
    first = f"systemd-run --quiet --unit=first flock {lock} sleep 600; while flock -n {lock} true; do sleep 0.1; done"
    with impatient(untouched), changed(untouched, first, "systemctl stop first"):
        refused(untouched, bootstrap(untouched), 75, "another bootstrap is running")


def test_a_command_of_somebody_else_is_not_replaced_and_nothing_of_ours_is_left(untouched: Host) -> None:
    """The last of all refusals: the environment is built by then, and the repository fetched and believed."""
    with changed(untouched, f"echo theirs >{COMMAND}", f"rm {COMMAND}"):
        refused(untouched, bootstrap(untouched), 3, f"{COMMAND} exists and is not ours", theirs=[COMMAND])
        assert untouched.read(COMMAND) == "theirs\n"


def test_piped_a_repository_without_the_agent_is_not_looked_for_elsewhere(untouched: Host) -> None:
    less = "git rm -rq agent && git -c user.name=A -c user.email=a@b commit -qm Less"
    untouched.run(f"git clone -q {CLONE} /root/less && cd /root/less && {less}")
    command = f"cat {CLONE}/bootstrap.sh | sh -s -- --repo /root/less --trust unsigned"
    refused(untouched, untouched.run(command, check=False), 4, "does not hold the agent")


@pytest.fixture(scope="module")
def bare(lab: Lab, clone: Path) -> Iterator[Host]:
    """A host on which even git is missing, and no network."""
    with lab.boot("bookworm", image="base") as machine:
        machine.push(clone, CLONE)
        yield machine


def test_without_network_and_without_git_it_says_so(bare: Host) -> None:
    refused(bare, bootstrap(bare, offline=False), 4, "no network")


def test_a_package_manager_at_work_is_waited_for_and_then_named(bare: Host) -> None:
    # dpkg takes fcntl locks, which perl (there on every Debian) can hold: F_WRLCK on the whole file.
    lock = 'open F, ">>/var/lib/dpkg/lock-frontend"; $l = pack "ssx4qqix4", 1; fcntl F, 6, $l'
    hold = f'{lock}; open G, ">/run/held"; sleep 600'
    bare.write("/root/hold", hold)
    first = "systemd-run --quiet --unit=first perl /root/hold; until test -e /run/held; do sleep 0.1; done"
    with impatient(bare), changed(bare, first, "systemctl stop first"):
        refused(bare, bootstrap(bare, offline=False), 75, "another package manager is at work")


def test_piped_it_takes_the_agent_from_the_config_repository(boot: Boot) -> None:
    with boot(image="agent") as machine:
        publish(machine)
        done = piped(machine, "--repo", CONFIG, "--trust", "unsigned")
        assert done.code == 0, done.error
        assert "is already in /opt/hostwright/versions/" in done.error, "the image has what that would build"
        assert machine.read("/etc/greeting") == "hello\n"
        assert f"remote: {CONFIG}\n" in machine.read("/etc/hostwright/agent.yaml")


def test_piped_unsigned_code_is_not_run_where_signatures_are_asked_for(boot: Boot) -> None:
    with boot(image="agent") as machine:
        before = traces(machine)
        machine.run("ssh-keygen -q -t ed25519 -N '' -f /root/signer")
        machine.run('echo "ann $(cat /root/signer.pub)" > /root/signers')
        publish(machine)
        signed = ("--repo", CONFIG, "--trusted-signers", "/root/signers")
        refused(machine, piped(machine, *signed), 5, "is not signed by anybody in /root/signers", theirs=before)
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
