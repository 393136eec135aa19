"""Time zones by their IANA names: from the host's own tz data if it has any, else from the package tzdata."""

from __future__ import annotations

import zoneinfo
from datetime import tzinfo


def zone(name: str) -> tzinfo:
    """The zone called ``name``. Raises ValueError if there is none, or it cannot be read."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'no time zone is called "{name}"') from error


def names() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(zoneinfo.available_timezones())
