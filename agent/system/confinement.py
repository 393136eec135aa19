"""The confinement of the calling process and all that it starts, for good: it can look at everything, change nothing.

These walls confine it; each closes what the others leave open:

- Mounts of its own, all read-only, and private, so that no later mount of the host shows up writable; one small tmpfs.
  It can open only devices that hold nothing: no disk, no terminal of somebody else.
- It runs as nobody with CAP_DAC_READ_SEARCH alone, in every set, and without new privileges: no setuid program, no
  socket of a root daemon, no D-Bus call that only root may make. It has a group that nobody else has, so it cannot
  trace other processes of nobody or enter them through /proc.
- No signal but to processes that it started itself, and no abstract socket of other processes (Landlock, with a kernel
  of 6.12 or newer). The processes that it forked end with it, whatever session they are in.
- System V shared memory and message queues of its own.
- A filter of system calls (``seccomp``): no network, no locks, no settings of terminals and devices, no priorities, no
  keys, no namespaces.

The host's /proc and its network interfaces stay visible: to look at processes and addresses is allowed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from types import FrameType

from agent.system.seccomp import install as install_filter
from agent.system.seccomp import program

NOBODY = 65534
NO_GROUP = 65533
"""A group that is in no group file: a process may trace another one of its user only if their groups are the same."""

SCRATCH_BYTES = 64 * 1024 * 1024
"""Size of the tmpfs, in memory, to which deploy code may write while it looks."""

DEVICES = ("null", "zero", "full", "random", "urandom")
"""The devices that programs need. Others can be looked at, but not opened."""

_CLONE_NEWNS, _CLONE_NEWIPC = 0x00020000, 0x08000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_SYS_MOUNT_SETATTR, _SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 442, 444, 446
"""Numbers that are the same on every architecture."""
_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _LANDLOCK_SCOPE_SIGNAL = 1, 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NODEV = 1, 4
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 28, 38, 47
_PR_SET_CHILD_SUBREAPER = 36
_NO_SETUID_FIXUP_LOCKED = 0b1100
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_EXIT_SIGNALS = 128
_ENDING_S = 5.0
"""The longest time for killing the processes that the confined one left behind; they may fork faster than they die."""

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def confine(scratch: Path) -> None:
    """Go on in a confined child, which may write to the folder ``scratch`` alone; what it writes there is gone when it
    ends. The process that called waits for the child: it passes SIGTERM on, and ends as the child ends.

    Raises OSError if the kernel or the container lacks something. Then the process is confined in part: it must run no
    code of strangers, and should end.
    """
    allowed = program(os.uname().machine)  # before anything is changed
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 2**16 else 2**16)
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC), "unshare")
    _freeze_mounts(scratch)
    _drop_privileges()
    _keep_inside()
    install_filter(allowed)
    _mind_in_between()


def give_up_rights() -> None:
    """Go on as nobody, who can read everything, has no network and never gets more rights: the part of ``confine`` that
    needs no mounts, and so works in any container. For root. Raises OSError as ``confine`` does."""
    allowed = program(os.uname().machine)
    _drop_privileges()
    install_filter(allowed)


def _freeze_mounts(scratch: Path) -> None:
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")
    _set_mount(b"/", _AT_RECURSIVE, _MountAttributes(set=_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NODEV))
    for path in (b"/dev/" + name.encode() for name in DEVICES if Path("/dev", name).is_char_device()):
        _check(_libc.mount(path, path, None, _MS_BIND, None), "mount a device")
        _set_mount(path, 0, _MountAttributes(clear=_MOUNT_ATTR_NODEV))
    options = f"size={SCRATCH_BYTES},nr_inodes=16384,mode=0700,uid={NOBODY},gid={NO_GROUP}".encode()
    _check(_libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", _MS_NOSUID | _MS_NODEV, options), "mount a tmpfs")


def _set_mount(path: bytes, flags: int, attributes: _MountAttributes) -> None:
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    call = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, path, flags, ctypes.byref(attributes), size)
    _check(call, "mount_setattr")


def _drop_privileges() -> None:
    # Without this, access(2), and so `test -r`, would answer as if the process had no capability.
    _check(_libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP_LOCKED, 0, 0, 0), "securebits")
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        if capability != _CAP_DAC_READ_SEARCH:
            _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "drop a capability")
    os.setgroups([])
    os.setresgid(NO_GROUP, NO_GROUP, NO_GROUP)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    kept = 1 << _CAP_DAC_READ_SEARCH
    sets = (_Capabilities * 2)(_Capabilities(kept, kept, kept), _Capabilities(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0), "ambient capability")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _keep_inside() -> None:
    """Forbid signals and abstract sockets to the outside, by Landlock. A kernel before 6.12 has no such rules: then
    other processes of nobody can be signalled."""
    attributes = (ctypes.c_uint64 * 3)(0, 0, _LANDLOCK_SCOPE_SIGNAL | _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset >= 0:
        _check(_libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
        os.close(ruleset)


def _mind_in_between() -> None:
    """Go on in a child. Processes that the child leaves behind become children of this process, which ends them."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    child = os.fork()
    if child:
        status = 1 << 8  # exit status 1, until another one is known
        try:
            status = _wait_for(child)
            _end_orphans()
        finally:  # also after an error: this process must not go on with the child's work
            _end_as(status)
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _end_orphans() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = time.monotonic() + _ENDING_S
    while time.monotonic() < deadline:
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # only this process waits for it, so the number cannot be another's
        try:
            os.wait()
        except ChildProcessError:
            return


def _wait_for(pid: int) -> int:
    """The wait status of the child ``pid``. This process closes its own ends of the child's pipes, so that their
    readers see when the child closes them."""

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


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
