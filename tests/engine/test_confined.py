"""A plan's deploy code tries every way out, on a booted host. Each is refused in a confined plan.

To show that it is the confinement that holds, the same code tries the same on the same host unconfined: as root, and
as the user that a plan is, with the same capability. What neither of them may do is refused by the test bed, and shows
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploys.on_host import PYTHON
from tests.lab.host import Host
from tests.lab.lab import Lab

DRIVER, SITE = Path(__file__).with_name("attacker.py"), "/root/attacker.py"

READS = {
    "shadow": "open('/etc/shadow').read()",
    "a private file of the agent": "open('/var/lib/hostwright/private').read()",
    "what a private folder holds": "sh('test -r /var/lib/hostwright/private'); os.stat('/root/x/y')",
    "packages": "sh('dpkg-query -W bash')",
    "package policy": "sh('apt-cache policy bash')",
    "a simulated installation": "sh('apt-get -s install bash')",
    "a unit": "sh('systemctl show -p ActiveState dbus.service')",
    "history": "sh('git -C /srv/repo log -1')",
    "another's repository": "sh('git -C /srv/theirs status')",
    "processes": "open('/proc/1/status').read(), sh('ps -e'), sh('pgrep -x systemd')",
    "addresses": "sh('ip address')",
    "a temporary file": "__import__('tempfile').TemporaryFile().write(b'x')",
    "devices that hold nothing": "open('/dev/null', 'w').write('x'), open('/dev/urandom', 'rb').read(1)",
    "how a device is": "os.stat('/dev/net/tun'), os.listdir('/dev/pts')",
    "programs in a row": "sh('echo x 2>/dev/null | cat >/dev/null')",
}

WAYS_OUT = {
    "write to the root folder": "open('/evil', 'w')",
    "write to /run": "open('/run/evil', 'w')",
    "write to /tmp": "open('/tmp/evil', 'w')",
    "write to /dev/shm": "open('/dev/shm/evil', 'w')",
    "write to the agent's memory": "open('/var/lib/hostwright/evil', 'w')",
    "write to a bind mount": "open('/srv/bound/evil', 'w')",
    "write to an existing file of everybody": "open('/srv/open', 'a').write('x')",
    "append to /etc/passwd": "open('/etc/passwd', 'a')",
    "change a mode": "os.chmod('/srv/open', 0o777)",
    "remount by mount(2)": "call(libc.mount(None, b'/', None, 0x1020, None))",
    "remount by mount(8)": "sh('mount -o remount,rw,bind /')",
    "a new mount": "call(libc.mount(b'x', b'/mnt', b'tmpfs', 0, None))",
    "unmount": "call(libc.umount2(b'/srv/loose', 0))",
    "a user namespace": "call(libc.unshare(0x10000000))",
    "a mount namespace": "call(libc.unshare(0x20000))",
    "a namespace by clone": "call(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0), child_goes=True)",
    "a namespace by a program": "sh('unshare --mount true')",
    "enter the namespaces of process 1": "sh('nsenter -t 1 -m true')",
    "become root": "os.setuid(0)",
    "su": "sh('su -c \"touch /run/by-su\"')",
    "sudo": "sh('sudo -n true')",
    "stop a unit": "sh('systemctl --no-ask-password stop busy.service')",
    "start a unit": "sh('systemctl --no-ask-password start idle.service')",
    "a transient unit": "sh('systemd-run --no-ask-password true')",
    "a D-Bus call": "sh('busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
    "org.freedesktop.systemd1.Manager Reload')",
    "systemd's private socket": "connect('/run/systemd/private')",
    "the control socket": "connect('/run/hostwright/control.sock')",
    "the network": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a raw packet": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "trace a root process": "call(libc.ptrace(0x4206, pid_of('victim'), 0, 0))",
    "signal a root process": "os.kill(pid_of('victim'), 0)",
    "signal a process of nobody": "os.kill(pid_of('bystander'), 0)",
    "the root folder of a process of nobody": "open(f'/proc/{pid_of(\"bystander\")}/root/tmp/evil', 'w')",
    "the memory of a root process": "open(f'/proc/{pid_of(\"victim\")}/mem', 'r+b')",
    "the root folder of process 1": "open('/proc/1/root/run/evil', 'w')",
    "make a device": "os.mknod('/run/device', 0o20666, os.makedev(1, 3))",
    "chroot": "os.chroot('/srv')",
    "set a sysctl": "open('/proc/sys/kernel/domainname', 'w').write('evil')",
    "watch a folder": "fcntl.fcntl(os.open('/etc', os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_MODIFY)",
    "dpkg's lock": "hold('/var/lib/dpkg/lock-frontend', fcntl.F_SETLK)",
    "dpkg's lock by an open file": "hold('/var/lib/dpkg/lock-frontend', 37)",
    "root's terminal": "os.open(open('/run/hostwright/terminal').read(), os.O_RDONLY | os.O_NOCTTY)",
    "a terminal of one's own": "os.openpty()",
    "a network device": "os.open('/dev/net/tun', os.O_RDWR)",
    "a device elsewhere": "open('/srv/device', 'rb').read(1)",
    "the priority of a process of nobody": "os.setpriority(os.PRIO_PROCESS, pid_of('bystander'), 15)",
    "the processors of a process of nobody": "os.sched_setaffinity(pid_of('bystander'), {0})",
    "the scheduler of a process of nobody": "os.sched_setscheduler(pid_of('bystander'), 3, os.sched_param(0))",
    "the disk priority of a process of nobody": "call(libc.syscall(251, 1, pid_of('bystander'), 3 << 13))",
    "a datagram to anybody": "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '/run/datagrams')",
    "an abstract socket": "connect(chr(0) + 'abstract')",
    "to be called by anybody": "(s := socket.socket(socket.AF_UNIX)).bind(chr(0) + 'evil'), s.listen()",
    "take the lock": "fcntl.flock(os.open('/run/hostwright/lock', os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "keys": "call(libc.syscall(250, 0, -3, 1))",
    "a message of root's queue": "q = os.open('/dev/mqueue/private', os.O_RDONLY | os.O_NONBLOCK); "
    "call(libc.mq_receive(q, ctypes.create_string_buffer(8192), 8192, None))",
    "shared memory of the host": "call(libc.shmget(4711, 4096, 0))",
    "a file by its handle": "call(libc.syscall(304, -100, 0, 0), refused_only=True)",
    "io_uring": "call(libc.syscall(425, 0, 0), refused_only=True)",
}
"""The line that a deploy file runs. It raises where the way is closed."""

BY_CONFINEMENT = (
    "signal a process of nobody",
    "the network",
    "keys",
    "a message of root's queue",
    "shared memory of the host",
    "io_uring",
    "a user namespace",
    "write to /tmp",
    "write to an existing file of everybody",
    "watch a folder",
    "dpkg's lock",
    "dpkg's lock by an open file",
    "root's terminal",
    "a terminal of one's own",
    "a device elsewhere",
    "the priority of a process of nobody",
    "the processors of a process of nobody",
    "the scheduler of a process of nobody",
    "the disk priority of a process of nobody",
    "a datagram to anybody",
    "an abstract socket",
    "to be called by anybody",
    "take the lock",
)
"""Ways that the user who plans has where nothing but the confinement is taken away."""

CLOSED = re.compile(
    "not permitted|ermission denied|Read-only|must be superuser|no new privileges|Access denied|uthentic|ProcessLookup"
    "|No such file"
)
"""What being refused sounds like: a way that is closed for another reason would be a fault of the test."""

PREPARE = r"""
set -e
mkdir -p /root/x/y && chmod 700 /root /root/x
mkdir -p /srv/bound /srv/loose /srv/other /run/hostwright /var/lib/hostwright
mount --bind /srv/other /srv/bound; mount --bind /srv/other /srv/loose
echo secret >/var/lib/hostwright/private; chmod 600 /var/lib/hostwright/private
touch /srv/open /run/hostwright/lock; chmod 666 /srv/open; chmod 600 /run/hostwright/lock
git init -q /srv/repo && git -C /srv/repo -c user.name=a -c user.email=a@b commit -q --allow-empty -m x
cp -a /srv/repo /srv/theirs && chown -R daemon: /srv/theirs
chmod 1777 /dev/shm /srv/other
systemd-run -q --unit=busy --remain-after-exit true
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >/run/systemd/system/idle.service
systemctl daemon-reload
systemd-run -q --unit=victim bash -c 'exec -a victim sleep 1000'
systemd-run -q --unit=bystander --uid=nobody bash -c 'exec -a bystander sleep 1000'
systemd-run -q --unit=listens python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("/run/hostwright/control.sock"); s.listen(); time.sleep(1000)'
systemd-run -q --unit=datagrams python3 -c 'import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("/run/datagrams"); os.chmod("/run/datagrams", 0o777)
a = socket.socket(socket.AF_UNIX); a.bind("\0abstract"); a.listen(); time.sleep(1000)'
systemd-run -q --unit=terminal python3 -c 'import os, time
ours, theirs = os.openpty(); open("/run/hostwright/terminal", "w").write(os.ttyname(theirs)); time.sleep(1000)'
mknod /srv/device c 1 5; chmod 666 /srv/device
mount -o remount,rw /proc/sys
python3 -c 'import ctypes; ctypes.CDLL(None).shmget(4711, 4096, 0o1666)'
python3 -c 'import ctypes, os; libc = ctypes.CDLL(None)
queue = libc.mq_open(b"/private", os.O_RDWR | os.O_CREAT, 0o600, None); libc.mq_send(queue, b"x", 1, 0)'
until [ -S /run/datagrams ] && [ -S /run/hostwright/control.sock ] && [ -s /run/hostwright/terminal ] &&
    pgrep -x -f 'bystander 1000'; do sleep 0.1; done
chmod 600 /run/hostwright/control.sock
"""

OUTLIVES = """\
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        for descriptor in range(3): os.close(descriptor)
        os.execvp("sleep", ["outlives", "997"])
    os._exit(0)
time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    # nspawn keeps these from its hosts; a kernel of one's own has them.
    calls = "landlock_create_ruleset landlock_add_rule landlock_restrict_self @keyring io_uring_setup"
    with lab.boot("bookworm", image="agent", options=(f"--system-call-filter={calls}",)) as host:
        host.push(DRIVER, SITE)
        host.write("/root/prepare.sh", PREPARE)
        host.run(["bash", "/root/prepare.sh"])
        yield host


AS_NOBODY = (
    *("setpriv", "--reuid", "65534", "--regid", "65533", "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)


def told(host: Host, looking: str, *become: str, forked: bool = False) -> dict[str, str]:
    """Why each way was closed, by name; empty where it was open."""
    order = json.dumps({"looking": looking, "lines": READS | WAYS_OUT, "forked": forked})
    answer: dict[str, str] = json.loads(host.run([*become, PYTHON, "-I", SITE], input=order.encode()).output)
    return answer


def planned(host: Host, code: str, looking: str, **properties: str) -> dict[str, Any]:
    host.write("/root/order", json.dumps({"looking": looking, "code": code}))
    argv = ["sh", "-c", f"{PYTHON} -I {SITE} </root/order"]
    answer: dict[str, Any] = json.loads(host.unit(argv, properties=properties).output)
    return answer


@pytest.fixture(scope="module")
def children(host: Host) -> dict[str, dict[str, str]]:
    """A child that was started, and one that is a fork."""
    return {how: told(host, "confined", forked=how == "forked") for how in ("started", "forked")}


@pytest.fixture(params=["started", "forked"])
def confined(children: dict[str, dict[str, str]], request: pytest.FixtureRequest) -> dict[str, str]:
    return children[request.param]


@pytest.fixture(scope="module")
def nobody(host: Host, children: dict[str, dict[str, str]]) -> dict[str, str]:
    del children  # they are to find the host as it was
    return told(host, "privileged", *AS_NOBODY)


@pytest.fixture(scope="module")
def root(host: Host, nobody: dict[str, str]) -> dict[str, str]:
    del nobody
    return told(host, "privileged")


@pytest.mark.parametrize("what", READS)
def test_a_plan_can_read(confined: dict[str, str], what: str) -> None:
    assert confined[what] == ""


@pytest.mark.parametrize("way", WAYS_OUT)
def test_there_is_no_way_out_of_a_plan(
    confined: dict[str, str], nobody: dict[str, str], root: dict[str, str], way: str
) -> None:
    if nobody[way] and root[way]:
        pytest.skip(f"this bed refuses it to everybody: {root[way]}")
    assert CLOSED.search(confined[way]), confined[way] or "it is open"


@pytest.mark.parametrize("way", BY_CONFINEMENT)
def test_the_user_who_plans_has_that_way_unconfined(nobody: dict[str, str], way: str) -> None:
    assert nobody[way] == ""


def test_the_bed_refuses_nothing_unnoticed(nobody: dict[str, str], root: dict[str, str]) -> None:
    assert {way: root[way] for way in WAYS_OUT if nobody[way] and root[way]} == {}


@pytest.mark.parametrize(("looking", "left"), [("confined", 0), ("privileged", 1)])
def test_what_a_plan_forks_ends_with_it(host: Host, looking: str, left: int) -> None:
    script = f"{PYTHON} -I {SITE} </root/order; pgrep -c -f '^outlives 997'; pkill -f '^outlives 997'; true"
    host.write("/root/order", json.dumps({"looking": looking, "code": OUTLIVES}))
    assert host.unit(["sh", "-c", script]).output.endswith(f"}}{left}\n")


def test_a_deploy_that_needs_more_to_look_is_told_what_to_write(host: Host) -> None:
    code = "open('/etc/passwd', 'a')"
    assert planned(host, code, "privileged")["error"] == ""
    said = planned(host, code, "confined")["error"]
    assert "Permission denied" in said
    assert "`plan: privileged`" in said


CLONE = "from pyinfra.operations import git; git.repo(name='pull', src='{src}', dest='{dest}', branch='master')"


def test_a_clone_is_at_rest_until_its_branch_moves_whoever_owns_the_repository(host: Host) -> None:
    code = CLONE.format(src="/srv/theirs", dest="/srv/clone")
    host.run("git clone -q -c safe.directory='*' /srv/theirs /srv/clone || git clone -q file:///srv/repo /srv/clone")
    host.run("git -C /srv/clone remote set-url origin /srv/theirs")
    found = planned(host, code, "confined")
    assert (found["error"], found["changes"]) == ("", [])
    host.run(
        "setpriv --reuid daemon --clear-groups git -C /srv/theirs -c user.name=a -c user.email=a@b"
        " commit -q --allow-empty -m moved"
    )
    assert planned(host, code, "confined")["changes"] == ["pull"]


def test_a_clone_of_what_no_plan_can_reach_is_told_with_the_way_out_first(host: Host) -> None:
    url = "https://git.example.org/x.git"
    host.run(f"git clone -q /srv/repo /srv/far && git -C /srv/far remote set-url origin {url}")
    said = planned(host, CLONE.format(src=url, dest="/srv/far"), "confined")["error"]
    assert said.startswith("give this deploy `plan: privileged`")
    assert "git.example.org" in said


def test_sudo_from_root_to_root_is_nothing_to_a_plan(host: Host) -> None:
    code = "from pyinfra import config; from pyinfra.operations import files; config.SUDO = True; {}"
    found = planned(host, code.format("files.file(path='/srv/open', _su_user='root')"), "confined")
    assert (found["error"], found["changes"]) == ("", [])


@pytest.mark.parametrize("lacking", ["mount_setattr", "unshare", "capset"])
def test_a_host_that_cannot_confine_plans_all_the_same_and_says_so(host: Host, lacking: str) -> None:
    properties = {"SystemCallFilter": f"~{lacking}", "SystemCallErrorNumber": "EPERM"}
    said = planned(host, "open('/run/planned', 'w')", "confined", **properties)
    assert said["error"] == ""
    assert "not permitted" in said["unconfined"]
