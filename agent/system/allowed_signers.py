"""allowed_signers files (ssh-keygen(1)) into who stands in them and until when: to be shown, never to judge by."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.domain.text import printable

_LINE: Final = re.compile(
    r'(?P<principals>"[^"]*"|[^\s"#]\S*)\s+'
    r'(?:(?P<options>(?:[^\s"]|"[^"]*")+)\s+)??'
    r"(?P<type>(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s|$)"
)
_DATE: Final = re.compile(r'\bvalid-(after|before)="?(\d{8}(?:\d{4}(?:\d{2})?)?)Z?"?', re.IGNORECASE)
_FORMATS: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class AllowedSigner:
    """One line. ``authority``: whoever holds a certificate of this key. Times in seconds since the epoch, read as UTC
    as ``system.openssh`` has ssh-keygen read them."""

    principals: str
    fingerprint: str
    authority: bool
    valid_after: int | None
    valid_before: int | None

    def validity(self, now: int) -> str:
        """``valid``, ``expired`` or ``not yet valid``."""
        if self.valid_after is not None and now < self.valid_after:
            return "not yet valid"
        return "expired" if self.valid_before is not None and now >= self.valid_before else "valid"


def parse(text: bytes) -> tuple[AllowedSigner, ...]:
    """Everybody whose line can be read; ssh-keygen passes over the others too."""
    return tuple(_signers(text.decode(errors="replace")))


def _signers(text: str) -> Iterator[AllowedSigner]:
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found is None:
            continue
        try:
            digest = hashlib.sha256(base64.b64decode(found["key"], validate=True)).digest()
            dates = {name.lower(): _seconds(date) for name, date in _DATE.findall(found["options"] or "")}
        except (ValueError, binascii.Error):
            continue
        yield AllowedSigner(
            printable(found["principals"].strip('"')),
            "SHA256:" + base64.b64encode(digest).decode().rstrip("="),
            "cert-authority" in re.split(r"[,=]", (found["options"] or "").lower()),
            dates.get("after"),
            dates.get("before"),
        )


def _seconds(date: str) -> int:
    return int(datetime.strptime(date, _FORMATS[len(date)]).replace(tzinfo=UTC).timestamp())
