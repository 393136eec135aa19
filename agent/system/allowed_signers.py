"""The people in allowed_signers files (ssh-keygen(1)) and until when they may sign, only to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

from agent.domain.text import printable
from agent.system.public_keys import complaint, fingerprint

_LINE: Final = re.compile(
    r'(?P<principals>"[^"]*"|[^\s"#]\S*)\s+'
    r'(?:(?P<options>(?:[^\s"]|"[^"]*")+)\s+)??'
    r"(?P<type>(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s|$)"
)
_DATE: Final = re.compile(r'\bvalid-(after|before)="?(\d{8}(?:\d{4}(?:\d{2})?)?)Z?"?', re.IGNORECASE)
_FORMATS: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class AllowedSigner:
    """One line. ``authority``: True if the key signs certificates, whose holders may sign. Times are seconds since the
    epoch, read as UTC, as ``system.openssh`` has ssh-keygen read them."""

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
    """The signers in all lines that can be read; ssh-keygen passes over the other lines too."""
    return tuple(_signers(text.decode(errors="replace")))


_OPTION: Final = re.compile(
    r'cert-authority|namespaces="[^"]*"|valid-(after|before)="?(\d{8}|\d{12}|\d{14})Z?"?', re.IGNORECASE
)
"""The options that ssh-keygen(1) knows. It passes over a line with any other."""
_LINE_HINT: Final = 'write one person a line: NAME namespaces="git" ssh-ed25519 AAAA…'


def mistakes(text: bytes) -> Iterator[tuple[int, str, str]]:
    """Lines that let nobody sign a commit: the number, what is wrong, and what to do."""
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        found = _LINE.match(written)
        if found is None:
            yield number, "nobody can sign by this line", _LINE_HINT
            continue
        options = _options(found["options"] or "")
        unknown = [option for option in options if not _OPTION.fullmatch(option)]
        if unknown:
            known = 'namespaces="git", valid-after=, valid-before= (20270131) and cert-authority'
            yield number, f"ssh-keygen passes over a line with {printable(unknown[0], 60)}", f"options are {known}"
        elif complaint(f"{found['type']} {found['key']}"):
            yield number, f"this is no {printable(found['type'], 40)} key", "copy the whole line of the .pub file"
        elif not _for_git(options):
            yield number, "this key may not sign for git", 'write namespaces="git"'


def _options(text: str) -> list[str]:
    return re.findall(r'(?:[^,"]|"[^"]*")+', text)


def _for_git(options: list[str]) -> bool:
    patterns = [option.partition("=")[2].strip('"') for option in options if option.lower().startswith("namespaces=")]
    return not patterns or any(fnmatchcase("git", name) for given in patterns for name in given.split(","))


def _signers(text: str) -> Iterator[AllowedSigner]:
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found is None:
            continue
        try:
            key = fingerprint(f"{found['type']} {found['key']}")
            dates = {name.lower(): _seconds(date) for name, date in _DATE.findall(found["options"] or "")}
        except ValueError:
            continue
        yield AllowedSigner(
            printable(found["principals"].strip('"')),
            key,
            "cert-authority" in re.split(r"[,=]", (found["options"] or "").lower()),
            dates.get("after"),
            dates.get("before"),
        )


def _seconds(date: str) -> int:
    return int(datetime.strptime(date, _FORMATS[len(date)]).replace(tzinfo=UTC).timestamp())
