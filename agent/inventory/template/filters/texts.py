"""Ansible's filters of texts and paths."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib import parse

from agent.inventory.template.filters.refusal import compiled, refuse
from agent.system.crypt import CryptError, crypt

_NAMESPACE: Final = uuid.UUID("361e6d51-faec-444a-9079-341386da8e2e")
"""The namespace of Ansible's ``to_uuid``."""

_COMMENTS: Final = {
    "plain": ("", "# ", ""),
    "erlang": ("", "% ", ""),
    "c": ("", "// ", ""),
    "cblock": ("/*", " * ", " */"),
    "xml": ("<!--", " - ", "-->"),
}
"""The beginning, the decoration and the end of a comment, by style."""

_CRYPTS: Final = {"md5": "$1$", "blowfish": "$2b$12$", "sha256": "$5$", "sha512": "$6$"}

_ROUNDS_MOST: Final = {"blowfish": 14}
_OTHER_ROUNDS_MOST: Final = 1_000_000
"""The most ``rounds`` of ``password_hash``: libcrypt cannot be interrupted, and each cycle works the hash out."""


def regex_replace(  # noqa: PLR0917  # as Ansible's
    value: object = "",
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
    mandatory_count: int = 0,
) -> str:
    text, times = compiled(pattern, ignorecase, multiline).subn(replacement, str(value), count=count)
    if mandatory_count and times != mandatory_count:
        refuse(f'regex_replace: "{pattern}" should match {mandatory_count} times, and matches {times} times')
    return text


def regex_findall(value: object, regex: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:
    return compiled(regex, ignorecase, multiline).findall(str(value))


def regex_search(value: object, regex: str, *groups: str, ignorecase: bool = False, multiline: bool = False) -> Any:
    wanted = [_group(group) for group in groups]
    found = compiled(regex, ignorecase, multiline).search(str(value))
    if found is None:
        return None
    return [found.group(group) for group in wanted] if wanted else found.group()


def _group(reference: str) -> str | int:
    named = re.fullmatch(r"\\g<(\S+)>|\\(\d+)", reference)
    if named is None:
        refuse(f'regex_search: a group is "\\\\1" or "\\\\g<name>", not "{reference}"')
    return named[1] or int(named[2])


def regex_escape(value: object, re_type: str = "python") -> str:
    if re_type == "posix_basic":
        return re.sub(r"([].[^$*\\])", r"\\\1", str(value))
    if re_type != "python":
        refuse(f'regex_escape: "{re_type}" is none of python, posix_basic')
    return re.escape(str(value))


def comment(value: str, style: str = "plain", **given: Any) -> str:
    if style not in _COMMENTS:
        refuse(f'comment: "{style}" is none of {", ".join(_COMMENTS)}')
    beginning, decoration, end = _COMMENTS[style]
    bare = str(given.get("decoration", decoration)).rstrip()
    usual = {
        "newline": "\n",
        "beginning": beginning,
        "decoration": decoration,
        "end": end,
        "prefix": bare,
        "postfix": bare,
    }
    use = {"prefix_count": 1, "postfix_count": 1, **usual, **given}
    newline, decoration = use["newline"], use["decoration"]
    text = f"{decoration}{value.replace(newline, newline + decoration)}"
    return "".join(
        (
            f"{use['beginning']}{newline}" if use["beginning"] else "",
            f"{use['prefix']}{newline}" * int(use["prefix_count"]),
            text.replace(f"{decoration}{newline}", f"{decoration.rstrip()}{newline}"),
            f"{newline}{use['postfix']}" * int(use["postfix_count"]),
            f"{newline}{use['end']}" if use["end"] else "",
        )
    )


def quote(value: object) -> str:
    return shlex.quote("" if value is None else str(value))


def b64encode(value: str, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    return (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(str(value).encode(encoding)).decode()


def b64decode(value: str, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    return (base64.urlsafe_b64decode if urlsafe else base64.b64decode)(str(value).encode()).decode(encoding)


def to_uuid(value: object, namespace: object = _NAMESPACE) -> str:
    try:
        return str(uuid.uuid5(namespace if isinstance(namespace, uuid.UUID) else uuid.UUID(str(namespace)), str(value)))
    except ValueError as error:
        refuse(f"to_uuid: {namespace} is no namespace: {error}")


def hash_(value: object, hashtype: str = "sha1") -> str:
    try:
        return hashlib.new(hashtype, str(value).encode(), usedforsecurity=False).hexdigest()
    except ValueError:
        refuse(f'hash: there is no "{hashtype}"; sha256 is one')


def password_hash(
    value: object, hashtype: str = "sha512", salt: str | None = None, *, rounds: int | None = None, **_: object
) -> str:
    if hashtype not in _CRYPTS:
        refuse(f'password_hash: "{hashtype}" is none of {", ".join(_CRYPTS)}')
    if not salt or not re.fullmatch(r"[A-Za-z0-9./]{1,22}", salt):
        refuse(
            "password_hash: give a salt of letters and digits, password_hash('sha512', 'salt'): the value has to stay"
        )
    setting = _CRYPTS[hashtype]
    if rounds is not None:
        most = _ROUNDS_MOST.get(hashtype, _OTHER_ROUNDS_MOST)
        if rounds > most:
            refuse(f"password_hash: {rounds} rounds of {hashtype} take too long; write rounds={most} or less")
        setting = f"$2b${rounds:02d}$" if hashtype == "blowfish" else f"{setting}rounds={rounds}$"
    try:
        return crypt(str(value), f"{setting}{salt}")
    except CryptError as error:
        refuse(f"password_hash: {error}")


def split(value: str, separator: str | None = None, limit: int = -1) -> list[str]:
    if not isinstance(value, str):
        refuse(f"split: {value!r} is no text")
    return value.split(separator, limit)


def urlsplit(value: str, query: str = "") -> Any:
    names = ("fragment", "hostname", "netloc", "password", "path", "port", "query", "scheme", "username")
    found = parse.urlsplit(value)
    parts = {name: getattr(found, name) for name in names}
    if query and query not in parts:
        refuse(f'urlsplit: "{query}" is none of {", ".join(parts)}')
    return parts[query] if query else parts


def path_join(paths: str | Sequence[str]) -> str:
    if isinstance(paths, str):
        return paths
    if isinstance(paths, Mapping):
        refuse("path_join: a mapping is no list of paths")
    return posixpath.join(*paths)


def commonpath(paths: Sequence[str]) -> str:
    if isinstance(paths, (str, Mapping)):
        refuse(f"commonpath: {paths!r} is no list of paths")
    return posixpath.commonpath(paths)


def relpath(path: str, start: str) -> str:
    if not (posixpath.isabs(path) and posixpath.isabs(start)):
        refuse("relpath: both paths have to be absolute here")
    return posixpath.relpath(path, start)
