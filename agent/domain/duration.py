"""A duration as people write it: ``60s 30m 4h 2d``."""

from __future__ import annotations

import re

from agent.domain.fault import Mistake

DURATION = re.compile(r"([0-9]{1,7})([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 366 * 86400


def seconds(value: object) -> int:
    """The seconds of a duration such as ``30m``. Raises Mistake."""
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Mistake(f"{value!r} is not a duration", "write 60s, 30m, 4h or 2d")
    total = int(found[1]) * _UNITS_S[found[2]]
    if total > _LONGEST_S:
        raise Mistake(f"{value!r} is longer than a year", "write at most 365d")
    return total
