"""The one-time code of a machine that nobody logs in to: it stands in its user-data, and proves whose request it is.

Its form is ``hwc-`` and eight groups of four characters of base32: 16 random bytes, then the first 4 of their sha256.
These tell a mistyped code from a wrong one. The form is found in any text around it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Self

SECRET_BYTES = 16
_CHECK_BYTES = 4
_FORM = re.compile(r"(?<![a-z0-9-])hwc((?:-[a-z2-7]{4}){8})(?![a-z0-9-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """A one-time code. ``text``: the code as people and files write it."""

    text: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """A new code, made from random bytes."""
        secret = secrets.token_bytes(SECRET_BYTES)
        letters = base64.b32encode(secret + _check(secret)).decode().lower()
        return cls("-".join(("hwc", *(letters[at : at + 4] for at in range(0, len(letters), 4)))))

    @classmethod
    def read(cls, text: str) -> Self:
        """The one code in ``text``, such as a user-data file. Raises ValueError where there is none, or a mistyped one,
        or several."""
        found = {match[0].lower() for match in _FORM.finditer(text)}
        if len(found) != 1:
            raise ValueError("it holds more than one code" if found else "it holds no code of the form hwc-xxxx-…")
        [code] = found
        decoded = base64.b32decode(code.removeprefix("hwc-").replace("-", "").upper())
        if _check(decoded[:SECRET_BYTES]) != decoded[SECRET_BYTES:]:
            raise ValueError("the code is mistyped: its last characters do not match the rest")
        return cls(code)

    def seal(self, message: bytes) -> str:
        """The proof that the sender of ``message`` has the code: its HMAC-SHA256, in hex."""
        return hmac.new(self.text.encode(), message, hashlib.sha256).hexdigest()

    def sealed(self, message: bytes, seal: str) -> bool:
        """True if ``seal`` is the seal of ``message`` by this code."""
        return hmac.compare_digest(self.seal(message).encode(), seal.encode())


def _check(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()[:_CHECK_BYTES]
