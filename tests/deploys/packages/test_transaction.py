from __future__ import annotations

import pytest

from agent.deploys.packages import apt
from agent.deploys.packages.changes import PackageChange
from agent.deploys.packages.transaction import Transaction
from agent.errors import DeployError


def test_what_kept_one_package_from_being_tried_is_told_of_all_and_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def busy() -> None:
        tries.append("mend")
        raise DeployError("another package manager is at work")

    monkeypatch.setattr(apt, "mend", busy)
    changes = [PackageChange(name=name) for name in ("git", "jq")]
    transaction = Transaction(members=lambda: changes)
    for change in changes:
        with pytest.raises(DeployError, match="another package manager"):
            transaction.settle(change)
    assert tries == ["mend"]
