"""``deploys``: a booted host of each suite, shared by a module's tests, which therefore each use names of their own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from tests.deploys.on_host import Deploys
from tests.lab.images import SUITES
from tests.lab.lab import Lab


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On each suite; a short run has time for one, which takes turns from module to module. A module that says
    ``BOOTED_ON`` boots hosts of these suites only, and why; one that says ``ONLINE`` installs from registries, one that
    says ``HOST_IMAGE`` boots another than ``agent``."""
    if "deploys" in metafunc.fixturenames:
        suites = getattr(metafunc.module, "BOOTED_ON", SUITES)
        turn = suites[zlib.crc32(metafunc.module.__name__.encode()) % len(suites)]
        marks = {suite: () if suite == turn else (pytest.mark.long,) for suite in suites}
        hosts = [pytest.param(suite, marks=marks[suite]) for suite in suites]
        metafunc.parametrize("deploys", hosts, indirect=True, scope="module")


@pytest.fixture(scope="module")
def deploys(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Deploys]:
    online = getattr(request.module, "ONLINE", False)
    image = getattr(request.module, "HOST_IMAGE", "agent")
    with lab.boot(request.param, image=image, online=online) as host:
        yield Deploys(host)
