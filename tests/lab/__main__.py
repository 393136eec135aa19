"""``python -m tests.lab`` builds all images ahead of the first test that boots one."""

from __future__ import annotations

from tests.lab.images import SUITES
from tests.lab.installed import agent

for each in SUITES:
    agent(each)
