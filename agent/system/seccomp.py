"""The filter of system calls for a process that only looks: its rules, its program, and its installation.

It refuses calls that capabilities and read-only mounts do not cover. A refused call fails with EPERM, as without
permission.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Collection, Sequence

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_RETURN_ALLOW, _RETURN_ERRNO = 0x7FFF0000, 0x00050000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data, little-endian; each argument takes eight bytes."""

_X32 = 0x40000000
"""The first number of the second table of calls of x86-64 (x32), by which a process could evade every rule."""

_AF_UNIX, _AF_NETLINK, _SOCK_STREAM, _SOCK_TYPE = 1, 16, 1, 0xF
"""The sockets that are allowed: Unix streams, for a bus that answers nobody little, and netlink, to ask the kernel for
addresses. Only the process itself can connect a stream that it made; datagrams it could send to anybody, and take from
anybody, by name."""

_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* flags of clone(2)."""

_CLONE3, _IO_URING_SETUP = 435, 425
"""Numbers that are the same on every architecture, as for all calls since Linux 5.1. clone3 has its flags in memory
that no filter sees; a C library that is told that there is no clone3 uses clone. io_uring makes sockets past the
filter."""

_FCNTL = {
    "F_DUPFD": 0,
    "F_GETFD": 1,
    "F_SETFD": 2,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "F_GETLK": 5,
    "F_GETOWN": 9,
    "F_OFD_GETLK": 36,
    "F_DUPFD_CLOEXEC": 1030,
    "F_GETPIPE_SZ": 1032,
    "F_GET_SEALS": 1034,
}
"""The commands of fcntl(2) that are allowed: no locks, which keep others out; no leases, owners and signals."""

_RECORD_LOCKS = (6, 7, 37, 38)
"""F_SETLK and F_SETLKW, of a process and of an open file. They seem to succeed, but lock nothing: programs that read a
database (SQLite, and so rpm) read nothing without a lock."""

_IOCTL = {
    "TCGETS": 0x5401,
    "TCGETS2": 0x802C542A,
    "TIOCGPGRP": 0x540F,
    "TIOCGWINSZ": 0x5413,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
    "FS_IOC_GETFLAGS": 0x80086601,
    "FS_IOC_GETVERSION": 0x80087601,
    "FS_IOC_FSGETXATTR": 0x801C581F,
    "SIOCGIFNAME": 0x8910,
    "SIOCGIFCONF": 0x8912,
    "SIOCGIFFLAGS": 0x8913,
    "SIOCGIFADDR": 0x8915,
    "SIOCGIFNETMASK": 0x891B,
    "SIOCGIFMTU": 0x8921,
    "SIOCGIFHWADDR": 0x8927,
    "SIOCGIFINDEX": 0x8933,
    "SIOCGIFTXQLEN": 0x8942,
}
"""The requests of ioctl(2) that are allowed: those that ask how a device, a terminal or a socket is. With others a
process that may read it could change it as well."""

_CALLS = {
    "ioctl": (16, 29),
    "socket": (41, 198),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "fcntl": (72, 25),
    "flock": (73, 32),
    "ptrace": (101, 117),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ioprio_set": (251, 30),
    "unshare": (272, 97),
    "perf_event_open": (298, 241),
    "prlimit64": (302, 261),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_writev": (311, 271),
    "sched_setattr": (314, 274),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
}
"""The number of each filtered call on x86-64 and on aarch64."""
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The kernel's number of each architecture, and its column in ``_CALLS``."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _instruction(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """One instruction of the filter. ``if_so``, ``if_not``: how many instructions a comparison skips."""
    return struct.pack("<HBBI", code, if_so, if_not, value)


_REFUSE = _instruction(_RETURN, _RETURN_ERRNO | errno.EPERM)
_ALLOW = _instruction(_RETURN, _RETURN_ALLOW)


def program(machine: str) -> bytes:
    """The filter for a machine as uname(2) names it. Raises OSError for one that is not in ``_MACHINES``."""
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    architecture, column = _MACHINES[machine]
    judged: dict[str, list[bytes]] = {
        "socket": [*_if_equal(0, _AF_NETLINK, then=_ALLOW), *_unless(0, {_AF_UNIX}), *_stream(1)],
        "socketpair": _stream(1),
        "clone": [_load(0), _instruction(_ANY_BIT, _NEW_NAMESPACES, if_not=1), _REFUSE, _ALLOW],
        "fcntl": [*_fake_success(1, _RECORD_LOCKS), *_unless(1, _FCNTL.values()), _ALLOW],
        "ioctl": [*_unless(1, _IOCTL.values()), _ALLOW],
        "prlimit64": [*_unless(0, {0}), _ALLOW],  # its own limits
    }
    rules = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, if_so=1),
        _REFUSE,
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, if_not=1),
        _REFUSE,
        *_rule(_CLONE3, [_instruction(_RETURN, _RETURN_ERRNO | errno.ENOSYS)]),
        *_rule(_IO_URING_SETUP, [_REFUSE]),
    ]
    for name, numbers in _CALLS.items():
        rules += _rule(numbers[column], judged.get(name, [_REFUSE]))
    return b"".join((*rules, _ALLOW))


def _rule(number: int, verdict: Sequence[bytes]) -> list[bytes]:
    """Instructions that run ``verdict``, which always returns, for the call with this number alone."""
    return [_instruction(_EQUAL, number, if_not=len(verdict)), *verdict]


def _load(argument: int) -> bytes:
    """The instruction that loads an argument of the call, by its position from 0."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * argument)


def _if_equal(argument: int, value: int, *, then: bytes) -> list[bytes]:
    """Instructions that run ``then`` if the argument is ``value``, and otherwise go on behind it."""
    return [_load(argument), _instruction(_EQUAL, value, if_not=1), then]


def _fake_success(argument: int, values: Sequence[int]) -> list[bytes]:
    """Instructions that skip the call and report success if the argument is one of ``values``."""
    return [part for value in values for part in _if_equal(argument, value, then=_instruction(_RETURN, _RETURN_ERRNO))]


def _unless(argument: int, values: Collection[int]) -> list[bytes]:
    """Instructions that refuse the call unless the argument is one of ``values``."""
    left = range(len(values), 0, -1)
    return [
        _load(argument),
        *(_instruction(_EQUAL, value, if_so=behind) for value, behind in zip(values, left, strict=True)),
        _REFUSE,
    ]


def _stream(argument: int) -> list[bytes]:
    """Instructions that allow the call if the argument is the type of a stream socket, with any flags, and else refuse
    it."""
    return [
        _load(argument),
        _instruction(_AND, _SOCK_TYPE),
        _instruction(_EQUAL, _SOCK_STREAM, if_so=1),
        _REFUSE,
        _ALLOW,
    ]


def install(instructions: bytes) -> None:
    """Put a filter in force for this process and all that it starts, for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    filter_ = _Program(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
