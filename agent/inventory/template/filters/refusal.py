"""How a filter says that it cannot: as a template error, which becomes a complaint with its place."""

from __future__ import annotations

from typing import NoReturn

from jinja2 import TemplateError


def refuse(problem: str) -> NoReturn:
    raise TemplateError(problem)
