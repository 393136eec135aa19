"""SSH signatures, made and verified in this process: the armoured format of ``ssh-keygen -Y``, for ed25519 keys.

Format: OpenSSH's PROTOCOL.sshsig. To sign takes 0.04 ms and to verify 0.13 ms, a hundredth of a run of ssh-keygen: so
one reader checks ten thousand reports in a second or two.

With one kind of key every field has a fixed length, so the verifier parses nothing that a stranger wrote: it builds
the only bytes that the expected key could have written around its 64 bytes, and compares.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from agent.errors import TrustError
from agent.problems import ProblemKind

_KEY_TYPE: Final = b"ssh-ed25519"
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = (1).to_bytes(4, "big")
_HASHES: Final = ("sha512", "sha256")
"""The hashes that the format allows; ssh-keygen and this module sign with the first."""
_SIGNATURE_BYTES: Final = 64
_KEY_BYTES: Final = 32
_COLUMNS: Final = 70
"""The width at which ssh-keygen wraps the base64."""


def sign(private_key_openssh: bytes, message: bytes, namespace: str) -> bytes:
    """The armoured signature of ``message``. Raises TrustError unless the key is ed25519, without a passphrase."""
    try:
        key = load_ssh_private_key(private_key_openssh, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TrustError(
            f"not an OpenSSH private key without a passphrase: {error}", kind=ProblemKind.BAD_KEY
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(
            "not an ed25519 private key", hint="make one with ssh-keygen -t ed25519", kind=ProblemKind.BAD_KEY
        )
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = key.sign(_to_be_signed(message, namespace, _HASHES[0]))
    return _armour(_head(public, namespace, _HASHES[0]) + signature)


def verify(public_key_line: str, message: bytes, signature: bytes, namespace: str) -> None:
    """Raise TrustError unless this key (``ssh-ed25519 AAAA… comment``) signed exactly ``message`` in this namespace:
    kind ``bad-key`` if the line is no ed25519 key, else ``bad-signature``."""
    public = raw_public_key(public_key_line)
    blob = _unarmoured(signature)
    for name in _HASHES:
        if blob[:-_SIGNATURE_BYTES] == _head(public, namespace, name):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(
                    blob[-_SIGNATURE_BYTES:], _to_be_signed(message, namespace, name)
                )
            except InvalidSignature as error:
                raise TrustError("the signature does not match the message", kind=ProblemKind.BAD_SIGNATURE) from error
            return
    raise TrustError(f"not a signature by this key in the namespace {namespace}", kind=ProblemKind.BAD_SIGNATURE)


def raw_public_key(line: str) -> bytes:
    """The 32 bytes of an ed25519 public key line; the comment is ignored. Raises TrustError (``bad-key``)."""
    words = line.split()
    if len(words) < 2 or words[0] != _KEY_TYPE.decode():
        raise TrustError("not a line of the form `ssh-ed25519 AAAA… comment`", kind=ProblemKind.BAD_KEY)
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError("the key is not base64", kind=ProblemKind.BAD_KEY) from error
    key = blob[-_KEY_BYTES:]
    if blob != _string(_KEY_TYPE) + _string(key):
        raise TrustError("the base64 does not hold an ed25519 public key", kind=ProblemKind.BAD_KEY)
    return key


def _head(public: bytes, namespace: str, hash_name: str) -> bytes:
    """The bytes of the blob before the 64 bytes of the signature itself."""
    key = _string(_KEY_TYPE) + _string(public)
    signature_head = _string(_KEY_TYPE) + _SIGNATURE_BYTES.to_bytes(4, "big")
    signature_length = (len(signature_head) + _SIGNATURE_BYTES).to_bytes(4, "big")
    return (
        _MAGIC
        + _VERSION
        + _string(key)
        + _string(namespace.encode())
        + _string(b"")  # reserved
        + _string(hash_name.encode())
        + signature_length
        + signature_head
    )


def _to_be_signed(message: bytes, namespace: str, hash_name: str) -> bytes:
    digest = hashlib.new(hash_name, message).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(hash_name.encode()) + _string(digest)


def _string(value: bytes) -> bytes:
    """``value`` as a string of RFC 4251: its length in four bytes, then the bytes."""
    return len(value).to_bytes(4, "big") + value


def _armour(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join((b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""))


def _unarmoured(signature: bytes) -> bytes:
    """The blob in an armoured signature. Raises TrustError for any form but the one that ``_armour`` writes."""
    try:
        blob = base64.b64decode(b"".join(signature.split(b"\n")[1:-2]), validate=True)
    except binascii.Error as error:
        raise TrustError("not an armoured SSH signature", kind=ProblemKind.BAD_SIGNATURE) from error
    if _armour(blob) != signature:
        raise TrustError("not an armoured SSH signature, or something stands around it", kind=ProblemKind.BAD_SIGNATURE)
    return blob
