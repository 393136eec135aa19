"""Answers about accounts, from passwd, group and shadow, as the shell's commands print them."""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import re
from pathlib import Path

from agent.engine.facts.programs import is_nowhere
from agent.engine.facts.shape import Lines

NAME = r"[a-zA-Z0-9._][a-zA-Z0-9._-]*"
"""The name of a user, where pyinfra puts it behind a tilde."""

_ROW = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_-]*):[ -\[\]-~]*")
_HOME = re.compile(r"/[\w./-]*", re.ASCII)
_ENGLISH = ("C", "POSIX", "C.UTF-8", "en_US.UTF-8")
"""Languages in which ``lastlog`` prints the words that ``_last_login`` returns."""

_ENTRY_BYTES = 292
"""The size of an entry of /var/log/lastlog; entries are in the order of uids."""


def home(user: str) -> Lines | None:
    """The output of ``echo ~user``: the home, or ``~user`` for an unknown name. None where the shell could print the
    home in another way."""
    try:
        place = pwd.getpwnam(user).pw_dir
    except KeyError:
        return [f"~{user}"]
    return [place] if _HOME.fullmatch(place) else None


def users() -> Lines | None:
    """A line for each user of /etc/passwd: its entry, group, groups, last login and hash.

    None where the shell, grep or echo could read a name or an entry in another way, or where somebody has logged in:
    only ``lastlog`` itself can print that.
    """
    entries, shadow = _rows("/etc/passwd"), _rows("/etc/shadow")
    if entries is None or shadow is None:
        return None
    if not is_nowhere("lastlogin") or _language() not in _ENGLISH:
        return None
    lines: Lines = []
    for name, entry in entries.items():
        try:
            account = pwd.getpwnam(name)
            group = grp.getgrgid(account.pw_gid).gr_name
            others = [grp.getgrgid(number).gr_name for number in _groups(name, account.pw_gid)]
        except KeyError:
            return None
        login = _last_login(name, account.pw_uid)
        if login is None:
            return None
        secret = shadow[name].split(":")[1] if name in shadow else ""
        lines.append(f"{entry}|{group}|{' '.join([group, *others])}|{login}|{secret}")
    return lines


def _language() -> str:
    return next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "C")


def _rows(path: str) -> dict[str, str] | None:
    """The lines of an account file by name; None where a line has another form, a name comes twice, or the file cannot
    be read."""
    try:
        lines = Path(path).read_text(encoding="ascii").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    found = [match for match in map(_ROW.fullmatch, lines) if match]
    rows = {match["name"]: match[0] for match in found}
    return rows if len(rows) == len(lines) else None


def _groups(name: str, first: int) -> list[int]:
    """The gids of a user's groups but the ``first``, in the order of ``id``."""
    numbers = [number for number, _ in itertools.groupby(os.getgrouplist(name, first))]
    return [number for number in numbers if number != first]


def _last_login(name: str, number: int) -> str | None:
    """The line of ``lastlog`` about a user who never logged in; None for anybody else. Empty where there is no such
    program or file."""
    if is_nowhere("lastlog"):
        return ""
    try:
        descriptor = os.open("/var/log/lastlog", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    try:
        entry = os.pread(descriptor, _ENTRY_BYTES, number * _ENTRY_BYTES)
    finally:
        os.close(descriptor)
    return f"{name} **Never logged in**" if not any(entry) else None
