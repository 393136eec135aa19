"""The closed table of kinds: what every row has to bring."""

from __future__ import annotations

import pytest

from agent.deploys.kind import Kind
from agent.deploys.kind_table import NAMES, kind_named


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_says_how_it_is_removed(name: str) -> None:
    kind = type(kind_named(name))
    assert issubclass(kind, Kind)
    assert kind.remove is not Kind.remove or kind.remove_one is not Kind.remove_one
