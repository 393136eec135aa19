"""The built-in deploys, by the kind that an inventory names: each is a folder beside this module.

``<kind>/spec.py`` holds its Spec, called ``<Kind>Spec``. Specs are imported when first asked for, so that listing the
kinds costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import cast

from agent.deploys.spec import Spec

_SPECS: dict[str, type[Spec]] = {}
"""Specs that are loaded or registered, by kind."""

_BUILT_IN = frozenset(module.name for module in iter_modules([f"{Path(__file__).parent}"]) if module.ispkg)


def kinds() -> tuple[str, ...]:
    """All kinds in force, sorted."""
    return tuple(sorted({*_BUILT_IN, *_SPECS}))


def spec_class(kind: str) -> type[Spec]:
    """The Spec of ``kind``. Raises KeyError where there is no such kind."""
    if kind in _BUILT_IN and kind not in _SPECS:
        module = import_module(f"agent.deploys.{kind}.spec")
        _SPECS[kind] = cast("type[Spec]", getattr(module, f"{kind.capitalize()}Spec"))
    return _SPECS[kind]


def register(spec: type[Spec]) -> None:
    """Add a further kind, ``spec.kind``, in place of any of that name."""
    _SPECS[spec.kind] = spec
