"""Host names as an inventory writes them: ``web[01:20]``, ``db-[a:f].example.org``, ``rack[0:10:2]-[1:4]``, ``h:2222``.

The grammar is that of Ansible's "Adding ranges of hosts"; a range that Ansible would expand to nothing is refused.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Sequence

from agent.domain.fault import Mistake
from agent.domain.layout import HOST_GRAMMAR, HOST_NAME

_IPV6 = "an IPv6 address is written as a variable: give the host a name, and `ansible_host: <address>`"

EXPANSION_LIMIT = 100_000
"""The most hosts that one line may stand for."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_PORT = re.compile(r"(.*):([0-9]{1,5})")
_NUMBERS = re.compile(r"([0-9]{0,9}):([0-9]{1,9})(?::([0-9]{1,9}))?")
_LETTERS = re.compile(r"([A-Za-z]):([A-Za-z])(?::([0-9]{1,9}))?")


def expand(pattern: str) -> tuple[tuple[str, ...], int | None]:
    """The host names of ``pattern``, and the port behind it or None. Raises Mistake."""
    bare = pattern.removeprefix("[").partition("]")[0]
    if _is_ipv6(bare) and not (_NUMBERS.fullmatch(bare) or _LETTERS.fullmatch(bare)):
        raise Mistake(f'"{pattern}" is not a host name', _IPV6)
    port = None
    if found := _PORT.fullmatch(_BRACKETS.sub(_masked, pattern)):
        pattern, port = pattern[: found.end(1)], int(found[2])
    parts = _BRACKETS.split(pattern)
    choices = [_choices(part) if index % 2 else (part,) for index, part in enumerate(parts)]
    _require_few(choices)
    names = tuple("".join(name) for name in itertools.product(*choices))
    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise Mistake(f'"{name}" is not a host name', HOST_GRAMMAR)
    return names, port


def _is_ipv6(name: str) -> bool:
    return name.count(":") > 1 and re.fullmatch(r"[0-9A-Fa-f:.]+", name) is not None


def _masked(found: re.Match[str]) -> str:
    """A range with its colons replaced, so that they are not taken for a port's colon."""
    return "x" * len(found[0])


def _choices(bounds: str) -> Sequence[str]:
    if found := _LETTERS.fullmatch(bounds):
        first, last = (string.ascii_letters.index(letter) for letter in found.group(1, 2))
        letters: Sequence[str] = string.ascii_letters[first : last + 1 : _step(found[3])]
        return _some(letters, bounds)
    if found := _NUMBERS.fullmatch(bounds):
        first_text = found[1] or "0"
        padded = len(first_text) > 1 and first_text.startswith("0")
        if padded and len(first_text) != len(found[2]):
            raise Mistake(
                f"[{bounds}] has leading zeros and ends of different length", "give both ends the same number of digits"
            )
        numbers = range(int(first_text), int(found[2]) + 1, _step(found[3]))
        if len(numbers) > EXPANSION_LIMIT:
            raise Mistake(f"[{bounds}] stands for more than {EXPANSION_LIMIT} hosts", "make it smaller")
        return _some([str(number).zfill(len(first_text) if padded else 0) for number in numbers], bounds)
    raise Mistake(f"[{bounds}] is not a range", "write [1:20], [01:20], [a:f] or, with a step, [0:10:2]")


def _step(text: str | None) -> int:
    step = int(text or 1)
    if step == 0:
        raise Mistake("a range with a step of 0", "write a step of at least 1, or none")
    return step


def _some(choices: Sequence[str], bounds: str) -> Sequence[str]:
    if not choices:
        raise Mistake(f"[{bounds}] is empty", "the lower end comes first")
    return choices


def _require_few(choices: Sequence[Sequence[str]]) -> None:
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > EXPANSION_LIMIT:
        raise Mistake(f"stands for more than {EXPANSION_LIMIT} hosts", "make it smaller")
