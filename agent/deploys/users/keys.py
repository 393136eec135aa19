"""Lines of authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). Pure.

The agent's lines stand between two markers. So a key that left Git can be told from one that a person put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.deploys.edits import BlockEdit
from agent.deploys.public_keys import KEY

_BLOCK = "keys"


def updated(text: str, keys: Iterable[str], *, exclusive: bool) -> str:
    """``text`` of an authorized_keys file with ``keys`` in it, and no others in the agent's block.

    A line outside the block with one of the keys and the same options is a person's: it stays, and the block leaves
    that key out. With other options the line is removed: sshd takes the first line with a key, and that one could
    allow more than is wanted. Other lines stay, unless ``exclusive``. Where a marker was lost, nobody knows whose the
    lines are: all lines with a wanted key go, and the block has these keys again.
    """
    wanted = {_identity(key): key for key in keys}
    torn = _is_torn(BlockEdit(_BLOCK, None).found(text))
    kept = [
        line for line in text.split("\n") if not (_identity(line) in wanted if torn else _contradicts(line, wanted))
    ]
    rest = "" if exclusive else "\n".join(kept)
    theirs = {_identity(line) for line in BlockEdit(_BLOCK, None).apply(rest).split("\n")}
    ours = [key for identity, key in wanted.items() if identity not in theirs]
    after = BlockEdit(_BLOCK, "\n".join(ours) if ours else None).apply(rest)
    return text if after == f"{text}\n" else after


def difference(before: str, after: str) -> tuple[int, int]:
    """The number of keys added, and of keys removed; comments do not count."""
    old, new = _entries(before), _entries(after)
    return sum(line not in old for line in new), sum(line not in new for line in old)


def _entries(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _is_torn(found: str) -> bool:
    """True where ``found``, the block in the file, has a marker without its partner."""
    return found.count(" BEGIN hostwright ") != found.count(" END hostwright ")


def _contradicts(line: str, wanted: Mapping[str, str]) -> bool:
    """True where the line has a wanted key with other options."""
    key = wanted.get(_identity(line))
    return key is not None and _options(key) != _options(line)


def _identity(line: str) -> str:
    """Type and content of the key in a line, without options and comment; empty for a line without a key."""
    match = None if line.lstrip().startswith("#") else KEY.search(line)
    return f"{match['type']} {match['blob']}" if match else ""


def _options(line: str) -> str:
    match = KEY.search(line)
    return line[: match.start()].strip() if match else ""
