"""Unit of a machine without systemd: their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys import systemctl
from agent.deploys.services import host
from agent.deploys.services.host import Unit
from agent.domain.ownership import LedgerEntry, Origin


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    for module in (systemctl, host):  # else it would speak to the systemd of this machine
        monkeypatch.setattr(module, "booted", lambda: False)
    return Unit(tmp_path)


def test_a_unit_file_that_was_changed_after_the_first_look_stays(units: Unit, tmp_path: Path) -> None:
    entries = []
    for name in ("changed.service", "same.service"):
        (tmp_path / name).write_text("ours")
        seen = units.look(name)
        assert seen is not None
        entries.append(LedgerEntry(f"unit:{name}", "services", 0, Origin.CREATED, left=seen.state, settled=True))
    (tmp_path / "changed.service").write_text("mine")
    stayed = units.remove(entries, purge=True)
    assert stayed == {"unit:changed.service": "changed since: its unit file was changed"}
    assert [path.name for path in tmp_path.iterdir()] == ["changed.service"]
