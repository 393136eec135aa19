from __future__ import annotations

import pytest

from agent.deploys.packages import apt, dpkg
from agent.deploys.packages.transaction import Transaction
from agent.errors import DeployError


def test_what_kept_one_package_from_being_tried_is_told_of_all_and_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def busy() -> None:
        tries.append("mend")
        raise DeployError("another package manager is at work")

    monkeypatch.setattr(apt, "mend", busy)
    jobs = [dpkg.Job(name=name) for name in ("git", "jq")]
    transaction = Transaction(recommends=None, update_s=0, members=lambda: jobs)
    for job in jobs:
        with pytest.raises(DeployError, match="another package manager"):
            transaction.settle(job)
    assert tries == ["mend"]
