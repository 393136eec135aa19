"""``python -m tests.lab`` builds all images ahead of the first test that boots one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.lab.images import SUITES
from tests.lab.installed import agent

with ThreadPoolExecutor() as pool:
    list(pool.map(agent, SUITES))
