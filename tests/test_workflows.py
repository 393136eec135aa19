"""What forges and editors read: workflows that nobody can change under us, and hooks that run what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_name_their_version(workflow: Path) -> None:
    used = [line.strip("- ") for line in workflow.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not re.fullmatch(r"\s*uses: [\w./-]+@[0-9a-f]{40} # v[\d.]+", line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_begins_with_no_more_than_reading(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}


def test_the_hooks_before_a_commit_are_checks_of_the_suite() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = {hook["id"]: hook["entry"] for repository in config["repos"] for hook in repository["hooks"]}
    checks = dict(re.findall(r"^ *check ([\w-]+) (.*)$", (ROOT / "tests/run").read_text(), re.MULTILINE))
    assert entries.keys() == checks.keys() - {"pytest"}
    assert [name for name in entries if not checks[name].startswith(entries[name])] == []
