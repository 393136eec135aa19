"""What the engine child of a plan of built-ins loads: neither pyinfra nor pydantic, which cost 0.3 s and 20 MB."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.spec import kinds, spec_class
from agent.engine.client import Engine
from tests.deploys.commit import Commit
from tests.engine.conftest import TIMEOUT_S, Bench

HEAVY = {"pyinfra", "gevent", "paramiko", "pydantic", "jinja2"}

WRITTEN: dict[str, Any] = {
    "command": {"say": {"run": ["true"], "unless": ["true"]}},
    "containers": {"web": {"image": "localhost/tiny:1"}},
    "cron": {"beat": {"command": "true", "schedule": "@daily"}},
    "dotfiles": {"user": getpass.getuser(), "sets": ["common"]},
    "files": {"/tmp": {"directory": True, "mode": "1777"}},
    "hosts": {"192.0.2.10": ["db1"]},
    "motd": {"text": "hello"},
    "packages": {"present": ["dpkg"]},
    "services": ["dbus"],
    "ssh": {"settings": {"MaxAuthTries": 3}},
    "sysctl": {"kernel.hostname": "x"},
    "timezone": "Europe/Berlin",
    "tools": [],
    "users": {"root": {}},
}


@pytest.mark.parametrize("kind", kinds())
def test_a_plan_of_a_built_in_loads_neither_pyinfra_nor_pydantic(bench: Bench, tmp_path: Path, kind: str) -> None:
    spec = spec_class(kind)
    commit = Commit(bench.root, {"dotfiles/common/.profile": "x\n"})
    bench.built_in(kind, kind, spec.model_validate(spec.from_short(WRITTEN[kind])).concrete(commit).arguments)
    told, python = tmp_path / "told", tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime "$@" 2>{told}\n')
    python.chmod(0o755)
    Engine(work=bench.work, timeout_s=TIMEOUT_S, python=str(python)).plan(bench.state(), bench.root, frozenset())
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.read_text().splitlines()}
    assert "agent" in imported
    assert imported.isdisjoint(HEAVY)
