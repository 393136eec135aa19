"""What the tests of pinning share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pinning.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Its wheels are the only ones there are."""
    desk = Desk(tmp_path)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"file://{desk.shelf}")
    monkeypatch.setenv("UV_FIND_LINKS", f"{desk.wheels}")
    monkeypatch.setenv("UV_CACHE_DIR", f"{tmp_path / 'uv'}")
    return desk
