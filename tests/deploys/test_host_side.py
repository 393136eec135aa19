"""The host's side of built-in deploys: which module looks at the host for each."""

from __future__ import annotations

import pytest

from agent.deploys import tree
from agent.deploys.correction import host_side


@pytest.mark.parametrize("deploy", ["dotfiles", "files", "hosts", "motd"])
def test_a_deploy_that_wants_items_alone_is_looked_at_by_the_tree(deploy: str) -> None:
    assert host_side(deploy) is tree  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("deploy", ["services", "users"])
def test_a_deploy_with_a_side_of_its_own_is_looked_at_by_that(deploy: str) -> None:
    assert f"{host_side(deploy)}".startswith(f"<module 'agent.deploys.{deploy}.host'")


def test_no_other_name_is_taken_for_a_deploy_of_items() -> None:
    with pytest.raises(ModuleNotFoundError):
        host_side("fiels")
