"""ACLs as the kernel keeps them (acl(5), linux/posix_acl_xattr.h), so that tests need no setfacl."""

from __future__ import annotations

import os
import struct
from pathlib import Path

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"

_NOBODY = 0xFFFFFFFF


def naming(uid: int, permissions: int, mode: int = 0o750) -> bytes:
    """``setfacl -m u:UID:…`` of what has this mode: owner, the user, group, mask and others."""
    group = mode >> 3 & 7
    entries = [
        (0x01, mode >> 6 & 7, _NOBODY),
        (0x02, permissions, uid),
        (0x04, group, _NOBODY),
        (0x10, group | permissions, _NOBODY),
        (0x20, mode & 7, _NOBODY),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def give(path: Path, uid: int, permissions: int, *, default: bool = False) -> None:
    acl = naming(uid, permissions, path.stat().st_mode & 0o777)
    os.setxattr(path, DEFAULT if default else ACCESS, acl)


def of(path: Path) -> set[str]:
    """Which ACLs ``path`` has."""
    return {ACCESS, DEFAULT} & set(os.listxattr(path))
