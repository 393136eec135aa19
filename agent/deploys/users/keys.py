"""Lines of authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

_KEY = re.compile(
    r"(?:^|\s)(?P<type>(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-sha2-)[A-Za-z0-9@.-]+)\s+(?P<blob>AAAA[A-Za-z0-9+/]+={0,3})(?=\s|$)"
)


def complaint(line: str) -> str:
    """What keeps ``line`` from being a public key; empty when nothing does."""
    if not line.isprintable():
        return "it is not one line of text"
    if "PRIVATE KEY" in line:
        return "it is a private one"
    match = _KEY.search(line)
    if match is None:
        return "it has no type like ssh-ed25519 with the key behind it"
    try:
        parts = _strings(base64.b64decode(match["blob"], validate=True))
    except (binascii.Error, ValueError):
        return "it is cut off or garbled"
    return "" if parts[0] == match["type"].encode() else "its type and its content differ"


def updated(text: str, keys: Iterable[str], *, exclusive: bool) -> str:
    """``text`` of an authorized_keys file with ``keys`` in it.

    A line with the same key but other options or another comment gives way. Other lines stay, unless ``exclusive``.
    """
    missing = {_identity(key): key for key in keys}
    wanted = dict(missing)
    lines = []
    for line in text.splitlines():
        identity = _identity(line)
        if identity in wanted:
            if identity in missing:
                lines.append(missing.pop(identity))
        elif not exclusive:
            lines.append(line)
    return "".join(f"{line}\n" for line in (*lines, *missing.values()))


def difference(before: str, after: str) -> tuple[int, int]:
    """How many lines are added and removed."""
    old, new = before.splitlines(), after.splitlines()
    return sum(line not in old for line in new), sum(line not in new for line in old)


def _identity(line: str) -> str:
    """What makes two lines the same key; empty for a line without one."""
    match = None if line.lstrip().startswith("#") else _KEY.search(line)
    return f"{match['type']} {match['blob']}" if match else ""


def _strings(blob: bytes) -> list[bytes]:
    """The strings that an SSH key consists of (RFC 4253, 6.6). Raises ValueError for a truncated one."""
    parts = []
    while blob:
        end = 4 + int.from_bytes(blob[:4], "big")
        if len(blob) < max(end, 4):
            raise ValueError("truncated")
        parts.append(blob[4:end])
        blob = blob[end:]
    return parts
