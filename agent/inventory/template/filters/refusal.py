"""Refusals of filters: a template error, which becomes a complaint with its place."""

from __future__ import annotations

import re
from typing import NoReturn

from jinja2 import TemplateError

from agent.domain import fault
from agent.domain.text import printable


def refuse(problem: str) -> NoReturn:
    raise TemplateError(problem)


def compiled(pattern: str, ignorecase: bool, multiline: bool) -> re.Pattern[str]:
    """``pattern`` compiled with these flags. Raises TemplateError if it is no regular expression."""
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    try:
        return fault.compiled(pattern, f'"{printable(pattern)}" is no regular expression', flags)
    except fault.Mistake as error:
        refuse(f"{error}")
