"""A command loads what it uses: who looks a hundred times a day pays for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cryptography", "git", "jinja2", "paramiko", "psutil", "pydantic", "pyinfra", "yaml")


def loaded(*modules: str) -> list[str]:
    program = f"import sys, {', '.join(modules)}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("command", ["events", "suspend", "trigger", "main"])
def test_a_command_that_only_reads_or_tells_the_daemon_loads_no_library_that_it_does_not_use(command: str) -> None:
    assert loaded(f"agent.cli.{command}") == []
