"""``deploys``: a booted host of each suite, shared by a module's tests, which therefore each use names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploys.on_host import Deploys
from tests.lab.images import SUITES
from tests.lab.lab import Lab


@pytest.fixture(scope="module", params=SUITES)
def deploys(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Deploys]:
    with lab.boot(request.param, image="agent") as host:
        yield Deploys(host)
