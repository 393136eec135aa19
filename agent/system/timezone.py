"""Time zones by their IANA names: the host's own tz data where it has any, else that of the package tzdata."""

from __future__ import annotations

import zoneinfo
from datetime import tzinfo


def zone(name: str) -> tzinfo:
    """The zone called ``name``. Raises ValueError when there is none that can be read."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'no time zone is called "{name}"') from error


def names() -> frozenset[str]:
    """All of them."""
    return frozenset(zoneinfo.available_timezones())
