from __future__ import annotations

import pytest

from agent.errors import InventoryError
from tests.inventory.samples import Repo


def test_what_a_deploy_cannot_find_is_told_with_its_place_once_for_all_deploys_of_a_host(repo: Repo) -> None:
    repo.write_all(
        {
            "site.yaml": "- hosts: web\n  deploys:\n"
            "    - files: {/etc/a: {source: files/nope}}\n"
            "    - dotfiles: {user: ann, sets: [nope]}\n"
        }
    )
    with pytest.raises(InventoryError) as caught:
        repo.load().concrete("web1")
    told = caught.value.message.splitlines()
    assert [line.split(": ")[0] for line in told] == [
        "inventories/demo/site.yaml:3:7",
        "inventories/demo/site.yaml:4:7",
    ]
    assert "there is no file files/nope" in told[0]
    assert "there is no set dotfiles/nope/" in told[1]
