"""What a check of doctor says."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


Answer = tuple[Verdict, str, str]
"""What was found, and what to do about it."""
