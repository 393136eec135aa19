"""SSH public keys as text: the type, the key in base64, a comment (RFC 4253, 6.6). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

KEY = re.compile(
    r"(?:^|\s)(?P<type>(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-sha2-)[A-Za-z0-9@.-]+)\s+(?P<blob>AAAA[A-Za-z0-9+/]+={0,3})(?=\s|$)"
)


def complaint(line: str) -> str:
    """The reason why ``line`` is no public key; empty where it is one."""
    if not line.isprintable():
        return "it is not one line of text"
    if "PRIVATE KEY" in line:
        return "it is a private one"
    match = KEY.search(line)
    if match is None:
        return "it has no type like ssh-ed25519 with the key behind it"
    try:
        parts = _strings(base64.b64decode(match["blob"], validate=True))
    except (binascii.Error, ValueError):
        return "it is cut off or garbled"
    if parts[0] != match["type"].encode():
        return "its type and its content differ"
    return "" if len(parts) > 1 else "it is cut off or garbled"


def fingerprint(line: str) -> str:
    """``SHA256:…`` of a public key, the line of a .pub file, as ssh-keygen prints it. Raises ValueError for a key that
    is not base64."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1], validate=True)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


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
