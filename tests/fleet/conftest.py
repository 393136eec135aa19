"""Hypothesis keeps what it found in a folder of the session, not in the checkout."""

from __future__ import annotations

import pytest
from hypothesis import configuration


@pytest.fixture(scope="session", autouse=True)
def _examples(tmp_path_factory: pytest.TempPathFactory) -> None:
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))
