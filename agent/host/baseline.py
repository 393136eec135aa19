"""The baseline: the packages that were on the host before the agent's first bootstrap. It is written once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, read_bounded, write_atomic

LIMIT = 4 * 1024 * 1024
"""Bytes of the baseline; that of a desktop with five thousand packages has about 100,000."""


def baseline_file(paths: Paths) -> Path:
    return paths.ledger / "packages-before"


def read_baseline(paths: Paths) -> frozenset[str] | None:
    """The names of the packages; None if nobody wrote them down. Raises OSError."""
    try:
        return frozenset(read_bounded(baseline_file(paths), LIMIT).decode(errors="replace").split())
    except FileNotFoundError:
        return None


def write_baseline(paths: Paths, names: Iterable[str]) -> None:
    """Write the names of the packages down, sorted. Raises OSError."""
    make_private_folder(paths.ledger)
    write_atomic(baseline_file(paths), "".join(f"{name}\n" for name in sorted(set(names))).encode())
