"""Ansible Vault: files and inline values, versions 1.1 and 1.2 (with an id), decrypted so that they can become secrets.

Format: https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html
"""

from __future__ import annotations

import binascii
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

_HEADER = re.compile(rb"\$ANSIBLE_VAULT;(1\.1;AES256|1\.2;AES256;[^\r\n;]{1,200})[ \t]*\r?\n")
_MARK = "$ANSIBLE_VAULT;"
_INLINE = re.compile(
    r"""^[ ]*(?:- +)?(?P<quote>["']?)(?P<key>[\w.-]+)(?P=quote):[ ]+!vault[ ]*\|[0-9+-]*[ ]*(?:[ ]\#[^\n]*)?\n"""
    r"(?P<body>[ ]*\$ANSIBLE_VAULT;[^\n]*\n(?:[ ]*[0-9a-f]+[ ]*(?:\n|\Z))+)",
    re.MULTILINE,
)
_ROUNDS = 10_000


class VaultError(Exception):
    """The content is no Ansible Vault, is damaged, or has another password."""


def is_vault(content: bytes) -> bool:
    return content.startswith(_MARK.encode())


def inline_values(text: str) -> tuple[dict[str, bytes], list[int]]:
    """The ``!vault`` values of a YAML text by their keys, and the numbers (from 1) of the lines of further vaults, such
    as items of lists. A key that is there already gets a number behind it: ``key-2``. Comments are left out."""
    text = text.replace("\r\n", "\n")
    lines = enumerate(text.split("\n"), start=1)
    left = {number for number, line in lines if _MARK in line and not line.lstrip().startswith("#")}
    found: dict[str, bytes] = {}
    for match in _INLINE.finditer(text):
        left.discard(text.count("\n", 0, match.start("body")) + 1)
        body = "".join(f"{line.strip()}\n" for line in match["body"].splitlines())
        key, count = match["key"], 2
        while key in found:
            key, count = f"{match['key']}-{count}", count + 1
        found[key] = body.encode()
    return found, sorted(left)


def decrypt(content: bytes, password: bytes) -> bytes:
    """The decrypted content of a vault. Raises VaultError."""
    header = _HEADER.match(content)
    if header is None:
        raise VaultError("no Ansible Vault of version 1.1 or 1.2")
    try:
        inner = binascii.unhexlify(b"".join(content[header.end() :].split()))
        salt, digest, data = (binascii.unhexlify(part) for part in inner.split(b"\n", 2))
    except (ValueError, binascii.Error):
        raise VaultError("this vault is damaged") from None
    keys = PBKDF2HMAC(hashes.SHA256(), 80, salt, _ROUNDS).derive(password)
    try:
        check = HMAC(keys[32:64], hashes.SHA256())
        check.update(data)
        check.verify(digest)
    except InvalidSignature:
        raise VaultError("the password is not that of this vault") from None
    decryptor = Cipher(algorithms.AES(keys[:32]), modes.CTR(keys[64:])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    try:
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise VaultError("this vault is damaged") from None
