"""The filter of system calls alone: what it refuses is done without it, by the same user on the same machine."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import resource
import socket
import sqlite3
import struct
import subprocess
import tempfile
import termios
from collections.abc import Callable

import pytest

from agent.system.seccomp import install, program

libc = ctypes.CDLL(None, use_errno=True)
_READ_LOCK = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
_TERMINAL = os.openpty()
_DATABASE = tempfile.NamedTemporaryFile(suffix=".db")  # noqa: SIM115  # for all tests here
sqlite3.connect(_DATABASE.name).executescript("create table t(a)")


def at(path: str = "/etc/passwd") -> int:
    return os.open(path, os.O_RDONLY)


def hold(command: int) -> None:
    """Raises EPERM where the lock was granted and nobody else meets it."""
    fcntl.fcntl(at(), command, _READ_LOCK)
    child = os.fork()
    if not child:
        wish = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        os._exit(struct.unpack("hhqqi4x", fcntl.fcntl(at(), fcntl.F_GETLK, wish))[0] == fcntl.F_UNLCK)
    if os.waitpid(child, 0)[1]:
        raise PermissionError(errno.EPERM, "nothing is locked")


def read_database() -> None:
    sqlite3.connect(_DATABASE.name).execute("select * from t").fetchall()


def call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def terminal() -> int:
    """Opened already, as one that somebody handed over."""
    return _TERMINAL[1]


def without_echo() -> None:
    attributes = termios.tcgetattr(terminal())
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal(), termios.TCSANOW, attributes)


def controlling() -> None:
    os.setsid()
    fcntl.ioctl(terminal(), termios.TIOCSCTTY, 0)


def listening() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"\0hostwright-test-{os.getpid()}")
        made.listen()


def queue() -> int:
    """A queue with a message in it."""
    name = f"/hostwright-test-{os.getpid()}".encode()
    descriptor: int = libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600, None)
    call(descriptor)
    libc.mq_unlink(name)
    call(libc.mq_send(descriptor, b"x", 1, 0))
    return descriptor


REFUSED: dict[str, Callable[[], object]] = {
    "a lock": lambda: fcntl.flock(at(), fcntl.LOCK_SH | fcntl.LOCK_NB),
    "a record lock": lambda: hold(fcntl.F_SETLK),
    "a record lock that waits": lambda: hold(fcntl.F_SETLKW),
    "a lock of an open file": lambda: hold(37),
    "a lock of an open file that waits": lambda: hold(38),
    "a lease": lambda: fcntl.fcntl(at(), fcntl.F_SETLEASE, fcntl.F_RDLCK),
    "news of a folder": lambda: fcntl.fcntl(at("/etc"), fcntl.F_NOTIFY, fcntl.DN_MODIFY),
    "an owner of signals": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getpid()),
    "another signal": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETSIG, 10),
    "the size of a pipe": lambda: fcntl.fcntl(os.pipe()[0], 1031, 65536),
    "echo": without_echo,
    "the size of a terminal": lambda: fcntl.ioctl(terminal(), termios.TIOCSWINSZ, struct.pack("4H", 1, 1, 0, 0)),
    "typing into a terminal": lambda: fcntl.ioctl(terminal(), termios.TIOCSTI, b"x"),
    "to drop what was typed": lambda: termios.tcflush(terminal(), termios.TCIFLUSH),
    "a terminal of its own": controlling,
    "asynchronous news": lambda: fcntl.ioctl(os.pipe()[0], 0x5452, struct.pack("i", 1)),
    "the network": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "the newer network": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "a datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "a packet": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK),
    "a pair that sends datagrams": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "to be called": listening,
    "a message of a queue": lambda: call(libc.mq_receive(queue(), ctypes.create_string_buffer(8192), 8192, None)),
    "news of a queue": lambda: call(libc.mq_notify(queue(), None)),
    "a priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 10),
    "a priority of a user": lambda: os.setpriority(os.PRIO_USER, 0, 10),
    "a processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "a scheduler": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "a scheduler's number": lambda: os.sched_setparam(0, os.sched_param(0)),
    "a disk's priority": lambda: call(libc.syscall(251 if os.uname().machine == "x86_64" else 30, 1, 0, 3 << 13)),
    "the limits of another": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
}
"""What raises behind the filter, and not before it."""

ALLOWED: dict[str, Callable[[], object]] = {
    "a descriptor's copy": lambda: (fcntl.fcntl(at(), fcntl.F_DUPFD_CLOEXEC, 3), fcntl.fcntl(at(), fcntl.F_DUPFD, 3)),
    "a descriptor's flags": lambda: os.set_blocking(os.pipe()[0], False),
    "who holds a lock": lambda: fcntl.fcntl(at(), fcntl.F_GETLK, _READ_LOCK),
    "whether it is a terminal": lambda: os.isatty(0),
    "how much there is to read": lambda: fcntl.ioctl(os.pipe()[0], termios.FIONREAD, array.array("i", [0])),
    "its own limits": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE),
    "a database": read_database,
    "a stream": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC),
    "a pair": socket.socketpair,
    "addresses": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "programs": lambda: subprocess.run("echo x | cat >/dev/null; ls -l / >/dev/null", shell=True, check=True),
}


def raised(way: Callable[[], object], *, filtered: bool) -> int:
    """The errno of ``way`` in a process of its own; 0 when it was done."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 255
    try:
        if filtered:
            libc.prctl(38, 1, 0, 0, 0)
            install(program(os.uname().machine))
        way()
        code = 0
    except OSError as error:
        code = error.errno or 254
    except termios.error as error:
        code = error.args[0]
    finally:
        os._exit(code)


@pytest.fixture(autouse=True)
def _machine() -> None:
    try:
        program(os.uname().machine)
    except OSError as error:
        pytest.skip(f"{error.strerror}")


@pytest.mark.parametrize("way", REFUSED)
def test_what_may_keep_others_waiting_or_change_something_is_refused(way: str) -> None:
    if without := raised(REFUSED[way], filtered=False):
        pytest.skip(f"this machine refuses it without the filter, too: {os.strerror(without)}")
    assert errno.errorcode.get(raised(REFUSED[way], filtered=True)) == "EPERM"


@pytest.mark.parametrize("way", ALLOWED)
def test_what_only_looks_is_allowed(way: str) -> None:
    assert raised(ALLOWED[way], filtered=True) == 0


def test_few_ways_are_refused_by_the_machine_itself() -> None:
    assert {way for way in REFUSED if raised(REFUSED[way], filtered=False)} <= {"typing into a terminal", "a lease"}


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="no filter of system calls for m68k"):
        program("m68k")
