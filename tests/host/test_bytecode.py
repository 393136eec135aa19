"""bytecode.py: what is compiled when the agent is installed, and what is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.host.bytecode import NEVER_IMPORTED, compile_below

IMPORT_ALL = """
import importlib, pkgutil, sys
import agent, pyinfra.facts, pyinfra.operations, rich.console, rich.progress, rich.table
for package in (agent, pyinfra.facts, pyinfra.operations):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(*(module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)), sep="\\n")
"""


def test_all_but_what_the_agent_never_imports_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", None)
    packages = tmp_path / "lib/python3/site-packages"
    compiled = {"agent/tests.py", "pydantic/main.py", "pygments.py"}
    for name in (*compiled, "pydantic/v1/main.py", "pygments/lexers/c.py", "zope/event/tests/x.py"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("")
    compile_below(f"{tmp_path}/lib")
    found = {path.parents[1] / f"{path.name.partition('.')[0]}.py" for path in packages.rglob("*.pyc")}
    assert {f"{path.relative_to(packages)}" for path in found} == compiled


def test_the_agent_and_pyinfra_import_nothing_that_is_not_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True, capture_output=True, text=True, timeout=120)
    imported = done.stdout.splitlines()
    assert any("/site-packages/pyinfra/operations/" in path for path in imported)
    assert [path for path in imported if NEVER_IMPORTED.search(path)] == []
