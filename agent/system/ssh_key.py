"""The reason why ssh cannot use a private key. ssh itself rarely names it, so ssh-keygen is run on the key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.text import printable
from agent.system.files import read_bounded
from agent.system.process import Completed, run

TIMEOUT_S: Final = 10.0
KEY_LIMIT: Final = 1024 * 1024
_PUBLIC: Final = re.compile(rb"\s*(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ ")
_PASSPHRASE: Final = b"incorrect passphrase"


@dataclass(frozen=True, slots=True)
class UnusableKey:
    """A key that ssh cannot use. ``why``: words that follow the path of the key. ``remedy``: what to do."""

    why: str
    remedy: str


def unusable(key: Path) -> UnusableKey | None:
    """The reason why ssh cannot load the private key without asking anybody; None if it can, or if nobody can tell."""
    try:
        asked = _asked(key)
        content = read_bounded(key, KEY_LIMIT)
    except OSError:
        return None
    if asked.ok:
        return None
    said = asked.error.splitlines()[-1].rpartition(b": ")[2].decode(errors="replace") if asked.error else ""
    causes = (
        (_PASSPHRASE in asked.error, "has a passphrase, which nobody can type", f"take it off: ssh-keygen -p -f {key}"),
        (_PUBLIC.match(content), "is the public half of a key", "put the file there whose name does not end in .pub"),
        (not content.strip(), "is empty", "put the private key there again"),
        (b"\r" in content, "has the line ends of Windows", f"sed -i 's/\\r$//' {key}"),
        (not content.endswith(b"\n"), "lacks the end of its last line", f"echo >> {key}"),
        (
            True,
            f"cannot be loaded by ssh ({printable(said, 100)})",
            "copy the whole file there again",
        ),
    )
    return next(UnusableKey(why, remedy) for applies, why, remedy in causes if applies)


def public_half(key: Path) -> bytes:
    """The public key of a usable private key, in base64, without its type and comment."""
    return _asked(key).output.split()[1]


def _asked(key: Path) -> Completed:
    return run(["ssh-keygen", "-y", "-P", "", "-f", f"{key}"], timeout_s=TIMEOUT_S)
