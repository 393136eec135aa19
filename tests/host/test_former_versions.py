"""Documents and ledger entries as version 0.1.0 wrote them: all that they say is still read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.domain import codec
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.state import Memory

WRITTEN = json.loads(Path(__file__).with_name("written_by_0_1_0.json").read_text())
READERS = {
    "trust": Memory.trust,
    "applied": Memory.applied,
    "state": Memory.state,
    "pinned": lambda memory: memory.pinned(0),
    "suspended": lambda memory: memory.suspension(0),
    "sighted": Memory.sightings,
    "update": Memory.update,
    "attempt": Memory.trial,
    "bad": lambda memory: {"bad": memory.bad()},
}


def holds(found: Any, written: Any) -> bool:
    """Whether ``found`` says all that ``written`` says; it may say more."""
    if isinstance(written, dict):
        return all(key in found and holds(found[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(found) == len(written) and all(map(holds, found, written))
    return bool(found == written)


@pytest.mark.parametrize("name", READERS)
def test_a_document_of_0_1_0_is_read(tmp_path: Path, name: str) -> None:
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    paths.document(name).write_text(json.dumps(WRITTEN[name]))
    found = READERS[name](Memory(paths))
    assert holds(json.loads(codec.encode(found)), WRITTEN[name])


def test_an_entry_of_the_ledger_of_0_1_0_is_read(tmp_path: Path) -> None:
    ((file, written),) = WRITTEN["ledger"].items()
    (tmp_path / file).write_text(json.dumps(written))
    (entry,) = Ledger(tmp_path).entries()
    assert holds(json.loads(codec.encode(entry)), written)
