"""Password hashes as in /etc/shadow, by crypt(3) of the system's libcrypt. Python 3.13 has no module for it."""

from __future__ import annotations

import ctypes
import ctypes.util


class CryptError(Exception):
    """The machine has no libcrypt, or libcrypt does not know the method or the salt."""


def crypt(password: str, setting: str) -> str:
    """The hash of ``password`` by ``setting``: method, rounds and salt as in crypt(5). Raises CryptError."""
    name = ctypes.util.find_library("crypt")
    if name is None:
        raise CryptError("this machine has no libcrypt")
    function = ctypes.CDLL(name).crypt
    function.argtypes, function.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_char_p
    found: bytes | None = function(password.encode(), setting.encode())
    if not found or found.startswith(b"*"):
        raise CryptError(f"libcrypt does not take {setting}")
    return found.decode()
