"""Turns the calling process into one that can look at everything and change nothing, for good, with all it starts.

What holds it, each closing what the others leave open:

- mounts of its own, all read-only, private, so that no later mount of the host shows up writable; one small tmpfs.
  No device can be opened but those that hold nothing: no disk, no terminal of somebody else
- nobody with CAP_DAC_READ_SEARCH alone, in every set, and no new privileges: no setuid program, no socket of a root
  daemon, no D-Bus call that only root may make. Its group is nobody's either: what else runs as nobody is not its
  own, and so cannot be traced or entered through /proc
- no signal but to what it started itself, and no abstract socket of anybody else's (Landlock, where the kernel is 6.12
  or newer); what it forked ends with it, whatever session that is in
- System V shared memory and message queues of its own
- a filter of system calls (``seccomp``): no network, no locks, no settings of terminals and devices, no priorities, no
  keys, no namespaces

The host's /proc stays in place, and so do its network interfaces: to look at processes and addresses is allowed.
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
"""In no group file: a process may trace another of its user only if its groups are the same, too."""

SCRATCH_BYTES = 64 * 1024 * 1024
"""Of memory, for what deploy code writes while it looks."""

DEVICES = ("null", "zero", "full", "random", "urandom")
"""What programs need of /dev. The others can be looked at, and not opened."""

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
"""How long what it left behind is killed, should that fork faster than it dies."""

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def confine(scratch: Path) -> None:
    """Go on in a process that is confined and may write to ``scratch``, a folder, alone; what is written there is
    gone with it. The process that called stays behind as its shell: it passes SIGTERM on and ends as it ends.

    Raises OSError where the kernel or the container lacks something. Then the process is neither one thing nor the
    other, nothing of anybody else's may run in it, and it should end.
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
    """Go on as nobody who can read everything, has no network and never gets more: the part of ``confine`` that needs
    no mounts, and so works in any container. For root. Raises OSError as ``confine`` does."""
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
    # Else access(2), and so `test -r`, would answer as if there were no capability.
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
    """Best effort: an older kernel has no such rules, and then what else runs as nobody may be signalled."""
    attributes = (ctypes.c_uint64 * 3)(0, 0, _LANDLOCK_SCOPE_SIGNAL | _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset >= 0:
        _check(_libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
        os.close(ruleset)


def _mind_in_between() -> None:
    """Goes on in a child. What that leaves behind becomes a child of the one that stays, and is ended by it."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    child = os.fork()
    if child:
        status = 1 << 8  # exit status 1, until another one is known
        try:
            status = _wait_for(child)
            _end_orphans()
        finally:  # whatever it was, it must not go on as the child does
            _end_as(status)
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _end_orphans() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = time.monotonic() + _ENDING_S
    while time.monotonic() < deadline:
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # nobody else waits for it, so the number is still its own
        try:
            os.wait()
        except ChildProcessError:
            return


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


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
