"""Where jobs lie, and who reads them there."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/etc/cron.d")
PREFIX = "hostwright-"

_READERS = (
    "/usr/sbin/cron",
    "/usr/sbin/crond",
    "/usr/lib/systemd/system-generators/systemd-crontab-generator",
    "/lib/systemd/system-generators/systemd-crontab-generator",
)
"""Vixie's cron and cronie, and systemd-cron. Busybox's crond does not read /etc/cron.d, and has no such folder."""


def path_of(name: str) -> str:
    return f"{FOLDER}/{PREFIX}{name}"


def is_read() -> bool:
    """Whether there is something on this host that runs what lies there."""
    return FOLDER.is_dir() and any(Path(reader).exists() for reader in _READERS)
