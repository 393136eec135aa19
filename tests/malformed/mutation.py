"""Files as no person and no program writes them: good ones, changed by chance. The same seed, the same change."""

from __future__ import annotations

import random

TOKENS = (
    *(
        "[",
        "]",
        "{",
        "}",
        "{{",
        "}}",
        "{% if %}",
        "{#",
        ": ",
        ":",
        "- ",
        "-",
        ", ",
        "'",
        '"',
        "`",
        "|",
        ">",
        "|-\n  ",
        "?",
    ),
    *(
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!timestamp x",
        "!!binary aGk=",
        "!!python/object:os.system x",
        "!vault |\n ",
        "%",
    ),
    *(
        "---\n",
        "...\n",
        "\t",
        "\r",
        "\r\n",
        "\n",
        "\n\n",
        "\x00",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "\uf8d0",
    ),
    *("~", "null", "true", "yes", "1e999", "-1", "9" * 400, "0o7", "0x", "1:59:59", ".inf", ".nan", "2026-13-45", "é"),
    *(
        "<<<<<<< HEAD\n",
        "=======\n",
        ">>>>>>> x\n",
        "ENC[AES256_GCM,data:,iv:a,tag:b,type:int]",
        "\\u",
        "\\ud800",
        "\\",
    ),
    *(
        "all",
        "web:&db",
        "~(",
        "a[1:3]",
        "a[3:1]",
        "!",
        "{{ port }}",
        "{{ secret('web/db') }}",
        "../x",
        "/",
        "",
        " ",
        "60s",
    ),
    *(
        "hosts",
        "vars",
        "children",
        "deploys",
        "version",
        "sops",
        "mac",
        "age",
        "ssh-ed25519 AAAA",
        "age1",
        "-> X25519 a\n",
    ),
)
DEEP = ("[", "{a: ", "- ", '{"a":', "{{ (", "(", "!!seq ", "? ")
"""Repeated, they nest."""
DEEPEST = 3000
CHANGES_MOST = 5


def mutated(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    """``content`` after one to ``CHANGES_MOST`` changes; pieces of ``others`` may come in."""
    for _ in range(chance.randint(1, CHANGES_MOST)):
        content = chance.choice(_CHANGES)(content, chance, others)
    return content


def _piece(content: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(content))
    return start, min(len(content), start + chance.choice((0, 1, 2, 5, 20, 100)))


def _token(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    start, end = _piece(content, chance)
    return content[:start] + chance.choice(TOKENS).encode() + content[end:]


def _value(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    """Another value behind one of the colons."""
    places = [at for at in range(len(content)) if content[at : at + 1] == b":"]
    if not places:
        return content
    at = chance.choice(places) + 1
    end = content.find(b"\n", at)
    return content[:at] + b" " + chance.choice(TOKENS).encode() + content[end if end >= 0 else len(content) :]


def _byte(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    start, _ = _piece(content, chance)
    return content[:start] + bytes([chance.randint(0, 255)]) + content[start + 1 :]


def _cut(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    start, end = _piece(content, chance)
    return content[:start] if chance.random() < 0.2 else content[:start] + content[end:]


def _line(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    """A line taken out, doubled, moved, or indented otherwise."""
    lines = content.split(b"\n")
    line = lines.pop(chance.randrange(len(lines)))
    changed = chance.choice(([], [line, line], [line], [b" " + line], [line[1:]], [b"\t" + line.lstrip()]))
    at = chance.randint(0, len(lines))
    return b"\n".join([*lines[:at], *changed, *lines[at:]])


def _deep(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    start, _ = _piece(content, chance)
    return content[:start] + chance.choice(DEEP).encode() * chance.choice((2, 70, DEEPEST)) + content[start:]


def _splice(content: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    start, end = _piece(content, chance)
    other = chance.choice(others)
    first, last = _piece(other, chance)
    return content[:start] + other[first:last] + content[end:]


_CHANGES = (_token, _token, _value, _value, _byte, _cut, _line, _line, _splice, _deep)
