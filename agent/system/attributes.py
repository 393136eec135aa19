"""Extended attributes that give rights beyond a file's mode: ACLs and capabilities, as bytes and in words.

Formats: acl(5) and linux/posix_acl_xattr.h; capabilities(7) and struct vfs_cap_data of linux/capability.h.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import struct
from collections.abc import Iterable, Mapping

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
"""The ACL that new files in a folder get from it."""
CAPABILITY = "security.capability"

GIVING = (ACCESS, DEFAULT, CAPABILITY)

_OF_CONTENT = ("security.ima", "security.evm")
"""Hashes and signatures of the content. The kernel or the administrator makes them anew for new content."""

_NONE = (errno.ENOTSUP, errno.ENODATA)
_NOT_MINE = (*_NONE, errno.EPERM, errno.EACCES)
"""Errors of a file system without attributes, and of a user who may replace a file but not set its labels."""

_ACL_VERSION = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_LETTERS = {_USER_OBJ: "u", _USER: "u", _GROUP_OBJ: "g", _GROUP: "g", _MASK: "m", _OTHER: "o"}

_CAPS_1, _CAPS = struct.Struct("<III"), struct.Struct("<IIIII")
_CAPS_2, _EFFECTIVE = 0x02000000, 0x01

CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)
"""Names by number, without their ``cap_`` (linux/capability.h)."""


def giving(descriptor: int) -> Mapping[str, bytes]:
    """ACLs and capabilities of an open file or folder, by the attribute's name. Raises OSError."""
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor) if name in GIVING}
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return {}


def give(descriptor: int, wanted: Mapping[str, bytes], names: Iterable[str] = GIVING) -> None:
    """Set the attributes in ``names`` to their values in ``wanted``, and remove those that ``wanted`` does not have,
    such as an ACL that came from the folder's default. Raises OSError."""
    there = giving(descriptor)
    for name in names:
        if there.get(name) == wanted.get(name):
            continue
        if name in wanted:
            os.setxattr(descriptor, name, wanted[name])
        else:
            os.removexattr(descriptor, name)


def carry_over(old: int, new: int) -> None:
    """Give the open file ``new`` the labels and other extended attributes of ``old``, but for those in ``GIVING`` and
    those that belong to the content. Raises OSError."""
    try:
        names = os.listxattr(old)
    except OSError as error:
        if error.errno not in _NOT_MINE:
            raise
        return
    for name in names:
        try:
            if name not in (*GIVING, *_OF_CONTENT):
                os.setxattr(new, name, os.getxattr(old, name))
        except OSError as error:
            if error.errno not in _NOT_MINE:
                raise


def acl_words(packed: bytes) -> str:
    """The entries of an ACL for named users and groups, as in ``u:ann:r-- g:adm:rw-``; all if it names nobody."""
    try:
        entries = list(_ACL_ENTRY.iter_unpack(packed[_ACL_VERSION.size :]))
    except struct.error:
        return "one that cannot be read"
    named = [entry for entry in entries if entry[0] in (_USER, _GROUP)]
    return " ".join(_acl_entry(*entry) for entry in named or entries)


def _acl_entry(tag: int, permissions: int, who: int) -> str:
    letters = "".join(letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
    return f"{_LETTERS.get(tag, '?')}:{_name(tag, who)}:{letters}"


def _name(tag: int, who: int) -> str:
    try:
        if tag == _USER:
            return pwd.getpwuid(who).pw_name
        return grp.getgrgid(who).gr_name if tag == _GROUP else ""
    except KeyError:
        return f"{who}"


def capability_words(packed: bytes) -> str:
    """The names of capabilities, ``cap_net_raw``; with flags, as in ``cap_net_raw+p``, for one that is not just
    permitted and effective."""
    if len(packed) < _CAPS_1.size:
        return "some that cannot be read"
    magic, *masks = (_CAPS if len(packed) >= _CAPS.size else _CAPS_1).unpack_from(packed)
    permitted = masks[0] | (masks[2] << 32 if len(masks) > 2 else 0)
    inheritable = masks[1] | (masks[3] << 32 if len(masks) > 2 else 0)
    effective = magic & _EFFECTIVE
    told = []
    for number in range(64):
        flags = ("e" if effective and permitted >> number & 1 else "") + ("i" if inheritable >> number & 1 else "")
        flags += "p" if permitted >> number & 1 else ""
        if flags:
            name = CAPABILITIES[number] if number < len(CAPABILITIES) else f"{number}"
            told.append(f"cap_{name}" + ("" if flags == "ep" else f"+{flags}"))
    return " ".join(told) or "none"


def packed_capabilities(names: Iterable[str]) -> bytes:
    """The attribute that makes these capabilities permitted and effective, as ``setcap cap_net_raw=ep`` writes it.
    Raises KeyError for an unknown name."""
    numbers = {name: number for number, name in enumerate(CAPABILITIES)}
    bits = sum({1 << numbers[name.removeprefix("cap_")] for name in names})
    return _CAPS.pack(_CAPS_2 | _EFFECTIVE, bits & 0xFFFFFFFF, 0, bits >> 32, 0)
