from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.deploys.packages import apt, dpkg
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """All that is asked of an apt that takes everything, dry runs with ``--simulate``."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(apt, "apt_get", lambda *arguments, **_: calls.append(arguments))
    monkeypatch.setattr(
        apt, "dry_run", lambda *arguments: calls.append(("--simulate", *arguments)) or apt.DryRun((), ())
    )
    monkeypatch.setattr(dpkg, "status_file", lambda: (1, 1))
    return calls


def test_packages_that_only_come_take_one_run_which_removes_nothing(asked: list[tuple[str, ...]]) -> None:
    changes = [PackageChange(name=name, install=True) for name in ("git", "jq")]
    Transaction()._carry_out(changes, fresh=True)
    assert asked == [("--no-remove", "install", "--", "git", "jq")]


def test_packages_of_which_one_goes_are_tried_dry_first(asked: list[tuple[str, ...]]) -> None:
    changes = [PackageChange(name="git", install=True), PackageChange(name="jq", remove=True)]
    Transaction()._carry_out(changes, fresh=True)
    assert asked == [("--simulate", "install", "--", "git", "jq-"), ("install", "--", "git", "jq-")]


def test_what_apt_refuses_is_found_by_halves_and_the_others_come(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(run: Callable[..., Any]) -> Callable[..., Any]:
        def either(*arguments: str, **more: Any) -> Any:
            run(*arguments, **more)
            if "bad" in arguments:
                raise DeployError("E: bad has no installation candidate")
            return apt.DryRun((), ())

        return either

    monkeypatch.setattr(apt, "apt_get", refusing(apt.apt_get))
    monkeypatch.setattr(apt, "dry_run", refusing(apt.dry_run))
    transaction = Transaction()
    transaction._carry_out([PackageChange(name=name, install=True) for name in ("bad", "jq")], fresh=True)
    assert asked[-1] == ("--no-remove", "install", "--", "jq")
    assert list(transaction.refusals) == ["bad"]


def test_a_run_that_fails_on_the_way_is_not_asked_for_again(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = iter(range(9))

    def failing(*arguments: str, **_: object) -> None:
        asked.append(arguments)
        raise DeployError("E: a script failed")

    monkeypatch.setattr(apt, "apt_get", failing)
    monkeypatch.setattr(dpkg, "status_file", lambda: (1, next(runs)))
    _, failure = Transaction()._apply_together([PackageChange(name="jq", install=True)])
    assert failure is not None
    assert asked == [("--no-remove", "install", "--", "jq")]


def test_new_lists_change_no_version_that_git_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "query", dpkg.Packages)
    newer = PackageChange("jq", version="3", upgrade="security upgrade")
    transaction = Transaction(upgrades=lambda _: [newer], planned={"jq"})
    pin, hold = PackageChange("jq", version="2"), PackageChange("jq", install=False, hold=True)
    upgrade = PackageChange("jq", version="2", upgrade="security upgrade")
    assert transaction._looked_at_anew([pin]) == [pin]
    assert transaction._looked_at_anew([hold]) == [hold]
    assert transaction._looked_at_anew([upgrade]) == [newer]
