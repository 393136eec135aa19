"""OpenPGP keys as vendors publish them (RFC 9580, RFC 4880), armoured or binary, turned into one armoured block. Pure.

apt and gpgv check signatures. This module only checks that the data to be trusted is a whole public key, and not the
vendor's web page, a signature, or somebody's private key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

KEY_LIMIT = 256 * 1024
"""Bytes; Debian's own keyring has 60 KiB."""

_PUBLIC_KEY = 6
_PRIVATE = (5, 7)
_PARTS = (2, _PUBLIC_KEY, 10, 12, 13, 14, 17, 21)
"""Kinds of packets in a transferable public key: signature, key, marker, trust, user id, subkey, attribute, padding."""

_BLOCK = re.compile(r"^-----BEGIN PGP ([A-Z ,0-9/]+)-----[ \t]*$(.*?)^-----END PGP \1-----", re.MULTILINE | re.DOTALL)
_CRC_START, _CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB
_COLUMNS = 64


def armoured(text: str) -> bool:
    """True if ``text`` has an armoured block of any kind in it."""
    return "-----BEGIN PGP " in text


def public_keys(data: bytes) -> str:
    """All public keys in ``data`` as one armoured block. Raises ValueError with what ``data`` is instead."""
    if len(data) > KEY_LIMIT:
        raise ValueError(f"has more than {KEY_LIMIT} bytes, which is no key")
    packets = data if data[:1] >= b"\x80" else b"".join(_dearmoured(data))
    tags = list(_tags(packets))
    if any(tag in _PRIVATE for tag in tags):
        raise ValueError("is a private key: take it out of the repository, tell its owner, and use the public one")
    if tags[:1] != [_PUBLIC_KEY] or any(tag not in _PARTS for tag in tags):
        raise ValueError("is OpenPGP data, but not a public key")
    return _armour(packets)


def _dearmoured(data: bytes) -> Iterator[bytes]:
    try:
        text = data.decode("ascii").replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = data.decode(errors="replace").replace("\r\n", "\n")
    blocks = _BLOCK.findall(text)
    if not blocks:
        raise ValueError("is not an OpenPGP key" + (": its armour has no end" if armoured(text) else ""))
    for title, body in blocks:
        if "PRIVATE" in title:
            raise ValueError("is a private key: take it out of the repository, tell its owner, and use the public one")
        if title != "PUBLIC KEY BLOCK":
            raise ValueError(f"is a PGP {title.lower()}, not a public key")
        yield _decoded(body)


def _decoded(body: str) -> bytes:
    """The content of one armoured block: headers, an empty line, base64, and a checksum where there is one."""
    _, _, rest = body.partition("\n\n") if ":" in body.partition("\n\n")[0] else ("", "", body)
    lines = rest.split()
    checksum = lines.pop()[1:] if lines and re.fullmatch(r"=[A-Za-z0-9+/]{4}", lines[-1]) else None
    try:
        content = base64.b64decode("".join(lines), validate=True)
    except binascii.Error:
        raise ValueError("is damaged: it is not base64 throughout") from None
    if checksum is not None and base64.b64decode(checksum) != _crc(content):
        raise ValueError("is damaged: its checksum does not fit")
    return content


def _tags(data: bytes) -> Iterator[int]:
    """The kinds of the packets in ``data``, in order. Raises ValueError where it does not consist of packets."""
    position = 0
    while position < len(data):
        first = data[position]
        if not first & 0x80:
            raise ValueError("is not an OpenPGP key")
        tag, header, length = _new(data, position) if first & 0x40 else _old(data, position)
        position += header + length
        if position > len(data):
            raise ValueError("is damaged: it ends too early")
        yield tag


def _new(data: bytes, position: int) -> tuple[int, int, int]:
    """The kind of the packet at ``position``, the bytes of its header and those of its body (RFC 9580, 4.2.1)."""
    rest = data[position + 1 : position + 6] + bytes(5)
    tag = data[position] & 0x3F
    if rest[0] < 192:
        return tag, 2, rest[0]
    if rest[0] < 224:
        return tag, 3, ((rest[0] - 192) << 8) + rest[1] + 192
    if rest[0] == 255:
        return tag, 6, int.from_bytes(rest[1:5])
    raise ValueError("is OpenPGP data, but not a public key")


def _old(data: bytes, position: int) -> tuple[int, int, int]:
    """The kind of the packet at ``position``, the bytes of its header and those of its body, in the older form (RFC
    9580, 4.2.2)."""
    tag, kind = data[position] >> 2 & 0x0F, data[position] & 0x03
    if kind == 3:
        raise ValueError("is OpenPGP data, but not a public key")
    size = 1 << kind
    return tag, 1 + size, int.from_bytes(data[position + 1 : position + 1 + size])


def _armour(data: bytes) -> str:
    encoded = base64.b64encode(data).decode()
    lines = [encoded[start : start + _COLUMNS] for start in range(0, len(encoded), _COLUMNS)]
    checksum = base64.b64encode(_crc(data)).decode()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    return "\n".join((begin, "", *lines, f"={checksum}", end, ""))


def _crc(data: bytes) -> bytes:
    """The checksum of an armoured block: CRC-24 (RFC 9580, 6.1.1), three bytes."""
    crc = _CRC_START
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= _CRC_POLYNOMIAL
    return crc.to_bytes(3)
