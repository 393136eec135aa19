"""``deploys``: a booted host of each suite, shared by a module's tests, which therefore each use names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploys.on_host import Deploys
from tests.lab.images import SUITES
from tests.lab.lab import Lab


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module that says ``BOOTED_ON`` boots hosts of these suites only, and why."""
    if "deploys" in metafunc.fixturenames:
        suites = getattr(metafunc.module, "BOOTED_ON", SUITES)
        metafunc.parametrize("deploys", suites, indirect=True, scope="module")


@pytest.fixture(scope="module")
def deploys(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Deploys]:
    with lab.boot(request.param, image="agent") as host:
        yield Deploys(host)
