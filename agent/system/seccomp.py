"""Which system calls a process that only looks may not make: rules to a filter program, and the program into force.

Capabilities and read-only mounts do not cover these. A refused call fails with EPERM, as if it lacked permission.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data, little-endian."""

_X32 = 0x40000000
"""Numbers of a second table of x86-64's calls begin here: by them every rule could be walked around."""

_AF_UNIX, _AF_NETLINK = 1, 16
"""What may be a socket: a bus that answers nobody little, and asking the kernel for addresses."""

_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* flags of clone(2)."""

_CLONE3, _IO_URING_SETUP = 435, 425
"""Since 5.1 a call has one number everywhere. clone3's flags lie in memory where no filter sees them; a C library
that is told that there is none takes clone. io_uring would make sockets past the filter."""

_X86_64 = {
    "socket": 41,
    "clone": 56,
    "flock": 73,
    "ptrace": 101,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_writev": 311,
    "bpf": 321,
    "userfaultfd": 323,
}
_AARCH64 = {
    "socket": 198,
    "clone": 220,
    "flock": 32,
    "ptrace": 117,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "unshare": 97,
    "perf_event_open": 241,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_writev": 271,
    "bpf": 280,
    "userfaultfd": 282,
}
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


@dataclass(frozen=True, slots=True)
class _Instruction:
    code: int
    value: int
    if_so: int = 0
    if_not: int = 0
    """Instructions to leave out."""

    def __bytes__(self) -> bytes:
        return struct.pack("<HBBI", self.code, self.if_so, self.if_not, self.value)


def program(machine: str) -> bytes:
    """The filter for a machine as uname(2) calls it. Raises OSError for one whose calls are not known here."""
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    architecture, calls = _MACHINES[machine]
    refuse = _Instruction(_RETURN, _ERRNO | errno.EPERM)
    allow = _Instruction(_RETURN, _ALLOW)
    load_number = _Instruction(_LOAD, _NUMBER)
    load_argument = _Instruction(_LOAD, _FIRST_ARGUMENT)
    rules = [
        _Instruction(_LOAD, _ARCHITECTURE),
        _Instruction(_EQUAL, architecture, if_so=1),
        refuse,
        load_number,
        _Instruction(_AT_LEAST, _X32, if_not=1),
        refuse,
        _Instruction(_EQUAL, _CLONE3, if_not=1),
        _Instruction(_RETURN, _ERRNO | errno.ENOSYS),
        _Instruction(_EQUAL, calls["socket"], if_not=5),
        load_argument,
        _Instruction(_EQUAL, _AF_UNIX, if_so=2),
        _Instruction(_EQUAL, _AF_NETLINK, if_so=1),
        refuse,
        allow,
        _Instruction(_EQUAL, calls["clone"], if_not=4),
        load_argument,
        _Instruction(_ANY_BIT, _NEW_NAMESPACES, if_not=1),
        refuse,
        allow,
    ]
    for number in (_IO_URING_SETUP, *(calls[name] for name in calls if name not in ("socket", "clone"))):
        rules += [_Instruction(_EQUAL, number, if_not=1), refuse]
    return b"".join(bytes(instruction) for instruction in (*rules, allow))


def install(instructions: bytes) -> None:
    """Puts a filter in force for this process and all that it starts, for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    filter_ = _Program(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
