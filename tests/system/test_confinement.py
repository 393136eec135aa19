"""The process that stays outside while a plan is confined, and ends as the plan did."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


@pytest.mark.parametrize(("failing", "status"), [("_end_orphans", 3), ("_wait_for", 1)])
def test_whatever_goes_wrong_in_between_it_does_not_go_on_as_its_child(failing: str, status: int) -> None:
    code = f"""
        import os
        from agent.system import confinement

        def fail(*_):
            raise OSError("no memory")

        confinement.{failing} = fail
        outside = os.getpid()
        try:
            confinement._mind_in_between()
        finally:
            os._exit(3 if os.getpid() != outside else 7)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=20, check=False).returncode == status
