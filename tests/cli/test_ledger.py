"""What `hostwright ledger restore` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.commands.ledger import _require_unwanted
from agent.domain.memory import Applied, AppliedDeploy
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import UsageError
from agent.host.paths import Paths
from agent.host.state import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    paths = Paths(tmp_path)
    paths.var.mkdir(parents=True)
    memory = Memory(paths)
    code = AppliedDeploy("1" * 64, owned=("file:/srv/cond", "unit:app.service"))
    built_in = AppliedDeploy("2" * 64, {"block:/etc/hosts#lab": "3" * 64})
    memory.keep_applied(Applied(deploys={"app": code, "hosts": built_in}))
    return memory


@pytest.mark.parametrize(
    ("key", "deploy"),
    [
        ("block:/etc/hosts#lab", "hosts"),
        ("file:/etc/hosts", "hosts"),
        ("file:/srv/cond", "app"),
        ("unit:app.service", "app"),
        ("file:/etc/systemd/system/app.service", "app"),
    ],
)
def test_what_a_deploy_owns_or_lies_in_what_it_owns_is_not_given_back(memory: Memory, key: str, deploy: str) -> None:
    with pytest.raises(UsageError, match=f"{deploy} still wants {key}"):
        _require_unwanted(LedgerEntry(key, deploy, 5, Origin.CREATED), memory)


def test_what_no_deploy_owns_is_given_back(memory: Memory) -> None:
    _require_unwanted(LedgerEntry("file:/srv/other", "app", 5, Origin.CREATED), memory)
