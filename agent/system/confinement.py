"""Turns the calling process into one that can look at everything and change nothing, for good, with all it starts.

What holds it, each closing what the others leave open:

- mounts of its own, all read-only, private, so that no later mount of the host shows up writable; one small tmpfs
- nobody with CAP_DAC_READ_SEARCH alone, in every set, and no new privileges: no setuid program, no socket of a root
  daemon, no D-Bus call that only root may make. Its group is nobody's either: what else runs as nobody is not its
  own, and so cannot be traced or entered through /proc
- process numbers of its own: it signals nobody else, and what it forked ends with it, whatever session that is in
- System V shared memory and message queues of its own
- a filter of system calls (``seccomp``): no network, no locks, no keys, no namespaces

The host's /proc stays in place, and so do its network interfaces: to look at processes and addresses is allowed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path
from types import FrameType

from agent.system.seccomp import install as install_filter
from agent.system.seccomp import program

NOBODY = 65534
NO_GROUP = 65533
"""In no group file: a process may trace another of its user only if its groups are the same, too."""

SCRATCH_BYTES = 64 * 1024 * 1024
"""Of memory, for what deploy code writes while it looks."""

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 8, 24, 38, 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_EXIT_SIGNALS = 128

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def confine(scratch: Path) -> None:
    """Returns in a process that is confined and may write to ``scratch``, a folder, alone; what is written there is
    gone with it. The process that called stays behind as its shell: it passes SIGTERM on and ends as it ends.

    Raises OSError where the kernel or the container lacks something. Then the process is neither one thing nor the
    other, nothing of anybody else's may run in it, and it should end.
    """
    allowed = program(os.uname().machine)  # before anything is changed
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 2**16 else 2**16)
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWPID), "unshare")
    _freeze_mounts(scratch)
    _drop_privileges()
    install_filter(allowed)
    _mind_in_between()


def _freeze_mounts(scratch: Path) -> None:
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    call = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(attributes), size)
    _check(call, "mount_setattr")
    options = f"size={SCRATCH_BYTES},nr_inodes=16384,mode=0700,uid={NOBODY},gid={NO_GROUP}".encode()
    _check(_libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", _MS_NOSUID | _MS_NODEV, options), "mount a tmpfs")


def _drop_privileges() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        if capability != _CAP_DAC_READ_SEARCH:
            _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "drop a capability")
    os.setgroups([])
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setresgid(NO_GROUP, NO_GROUP, NO_GROUP)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    kept = 1 << _CAP_DAC_READ_SEARCH
    sets = (_Capabilities * 2)(_Capabilities(kept, kept, kept), _Capabilities(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0), "ambient capability")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _mind_in_between() -> None:
    """Two forks: the first is process 1 of the new numbers, with whose end the kernel kills all others; the second
    is the one that goes on, so that signals work on it as on any other process."""
    told, tell = os.pipe()
    first = os.fork()
    if first:
        os.close(tell)
        _wait_for(first)
        _end_as(int(os.read(told, 16) or b"9"))  # killed from outside, it told nothing
    _die_with_parent()
    os.close(told)
    second = os.fork()
    if second:
        status = _wait_for(second)
        os.write(tell, str(status).encode())
        os._exit(0)
    _die_with_parent()
    os.close(tell)


def _wait_for(pid: int) -> int:
    """The wait status of ``pid``. Its pipes are closed here: their other ends are to see when it closes them."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    signal.signal(signal.SIGTERM, forward)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    while True:
        ended, status = os.wait()  # orphans as well
        if ended == pid:
            return status


def _end_as(status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else _EXIT_SIGNALS - code)


def _die_with_parent() -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
