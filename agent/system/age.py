"""age: bytes encrypted to recipients and back (the format age-encryption.org/v1, by pyrage).

A recipient is a line of text: ``age1…``, ``ssh-ed25519 AAAA…`` or ``ssh-rsa AAAA…``, with a comment behind it. An
identity is the private half: ``AGE-SECRET-KEY-1…`` or an OpenSSH private key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyrage

ARMOUR = b"-----BEGIN AGE ENCRYPTED FILE-----"
BINARY = b"age-encryption.org/v1\n"
_ARMOUR_END = b"-----END AGE ENCRYPTED FILE-----"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{1,64}={0,2}")
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n"
    rb"(?:-> [^\n]{1,4000}\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+"
    rb"--- [A-Za-z0-9+/]{43}\n"
)
"""The header of a file, by age-encryption.org/v1."""
_PAYLOAD_LEAST = 16 + 16
"""Bytes: a nonce, and the tag of an empty chunk."""
PRIVATE = re.compile(r"AGE-SECRET-KEY-|PRIVATE KEY-----")
"""The words by which a private key is recognised, also if it was written in the place of a public one."""

SSH_TYPES = ("ssh-ed25519", "ssh-rsa")

PrivateKey = Any
"""A private key as pyrage holds it."""


class AgeError(Exception):
    """The bytes are no age file or a damaged one, or the text is no key."""


class NotForUs(AgeError):
    """The file was made for other recipients."""


class PassphraseNeeded(AgeError):
    """The private key is itself encrypted."""


def generate() -> str:
    """A new X25519 identity, ``AGE-SECRET-KEY-1…``."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(secret: str) -> str:
    """The recipient ``age1…`` of an X25519 identity. Raises AgeError."""
    return str(_x25519(secret).to_public())


def recipient(line: str) -> str:
    """The recipient in ``line`` without its comment. Raises AgeError for a line without one."""
    words = line.split()
    text = " ".join(words[:2]) if words and words[0] in SSH_TYPES else (words or [""])[0]
    _recipient(text)
    return text


def encrypt(content: bytes, recipients: Sequence[str]) -> bytes:
    """``content`` for each of ``recipients``, at least one, armoured. Raises AgeError."""
    try:
        made: bytes = pyrage.encrypt(content, [_recipient(each) for each in recipients], armored=True)
    except pyrage.EncryptError as error:
        raise AgeError(f"{error}") from None
    return made


def decrypt(content: bytes, keys: Sequence[PrivateKey]) -> bytes:
    """The content of an age file, binary or armoured. Raises AgeError, NotForUs."""
    if not is_age(content):
        raise AgeError("this is no age file")
    if not is_whole(content):  # pyrage searches a header without an end anew from each of its bytes
        raise AgeError("this age file is damaged or cut off")
    try:
        plain: bytes = pyrage.decrypt(content.lstrip() if content.lstrip().startswith(ARMOUR) else content, list(keys))
    except pyrage.DecryptError as error:
        if "No matching keys" in f"{error}":
            raise NotForUs("it was made for others") from None
        raise AgeError(f"this age file is damaged: {error}") from None
    return plain


def is_age(content: bytes) -> bool:
    """True if ``content`` begins as an age file does."""
    return content.startswith(BINARY) or content.lstrip().startswith(ARMOUR)


def is_whole(content: bytes) -> bool:
    """True if an age file has all parts that can be seen without a key: armour, header, beginning of a payload."""
    text = content.strip()
    if text.startswith(ARMOUR):
        lines = text.splitlines()
        if lines[-1] != _ARMOUR_END or not all(_BASE64.fullmatch(line) for line in lines[1:-1]):
            return False
        try:
            content = base64.b64decode(b"".join(lines[1:-1]), validate=True)
        except ValueError:
            return False
    header = _HEADER.match(content)
    return header is not None and len(content) - header.end() >= _PAYLOAD_LEAST


def unarmoured(content: bytes) -> bytes:
    """The binary form of an age file, which is the same with and without armour; ``content`` itself if its armour
    cannot be decoded."""
    text = content.lstrip()
    if not text.startswith(ARMOUR):
        return content
    try:
        return base64.b64decode(text.removeprefix(ARMOUR).partition(b"-----")[0])
    except ValueError:
        return content


def keys_of(content: bytes, passphrase: bytes | None = None) -> list[PrivateKey]:
    """The keys of an identity file: lines of age's, or one OpenSSH private key. Raises AgeError, PassphraseNeeded."""
    if b"PRIVATE KEY-----" in content:
        return [_ssh_key(content, passphrase)]
    lines = [line.strip() for line in content.decode(errors="replace").splitlines()]
    secrets = [line for line in lines if line and not line.startswith("#")]
    if not secrets:
        raise AgeError("there is no identity in it")
    return [_x25519(secret) for secret in secrets]


def x25519(secrets: Iterable[str]) -> list[PrivateKey]:
    """Keys for texts ``AGE-SECRET-KEY-1…``. Raises AgeError."""
    return [_x25519(secret) for secret in secrets]


def _x25519(secret: str) -> PrivateKey:
    try:
        return pyrage.x25519.Identity.from_str(secret)
    except pyrage.IdentityError:
        raise AgeError("not an age identity (AGE-SECRET-KEY-1…)") from None


def _ssh_key(content: bytes, passphrase: bytes | None) -> PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

    try:
        loaded = load_ssh_private_key(content, passphrase)
        plain = loaded.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return pyrage.ssh.Identity.from_buffer(plain)
    except TypeError:
        raise PassphraseNeeded("the key has a passphrase") from None
    except (ValueError, UnsupportedAlgorithm, pyrage.IdentityError) as error:
        raise AgeError(f"not a private key that age knows (ssh-ed25519, ssh-rsa): {error}") from None


def _recipient(text: str) -> Any:
    try:
        if text.startswith(SSH_TYPES):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise AgeError(f"{text[:60]!r} is no recipient (age1…, ssh-ed25519 …, ssh-rsa …)") from None
