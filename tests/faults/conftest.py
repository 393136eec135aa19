"""One booted host for all faults of a worker that leave it as they found it."""

from __future__ import annotations

import pytest

from tests.faults import patient
from tests.faults.patient import Patient
from tests.lab.lab import Lab


@pytest.fixture(scope="package")
def sick(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return patient.patient(lab, tmp_path_factory.mktemp("world") / "world")
