"""What may lie in the place of a document: each makes it so at a path, whatever was there before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from agent.system.files import discard

Misplace = Callable[[Path], None]


def folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_text("{}")
    path.symlink_to(target)


def pipe(path: Path) -> None:
    os.mkfifo(path)


MISPLACED: dict[str, Misplace] = {"folder": folder, "dangling": dangling, "link": link, "pipe": pipe}
"""Nothing that is a file."""

DAMAGED: dict[str, bytes] = {
    "binary": bytes(range(256)) * 8,
    "zeros": bytes(4096),
    "truncated": b'{"commit": "aaa',
    "list": b"[]",
    "text": b'"text"',
    "number": b"7",
    "deep": b"[" * 100_000,
    "huge": bytes(17 << 20),
}
"""Files whose content is none of ours."""


def misplace(path: Path, name: str) -> None:
    discard(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name in DAMAGED:
        path.write_bytes(DAMAGED[name])
    else:
        MISPLACED[name](path)
