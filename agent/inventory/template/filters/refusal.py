"""Refusals of filters: a template error, which becomes a complaint with its place."""

from __future__ import annotations

import re
from typing import NoReturn

from jinja2 import TemplateError


def refuse(problem: str) -> NoReturn:
    raise TemplateError(problem)


def compiled(pattern: str, ignorecase: bool, multiline: bool) -> re.Pattern[str]:
    """``pattern`` compiled with these flags. Raises TemplateError if it is no regular expression."""
    try:
        return re.compile(pattern, (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0))
    except re.error as error:
        refuse(f'"{pattern}" is no regular expression: {error}')
