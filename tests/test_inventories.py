"""The inventories of this repository: they can be read, mean what they say, and mean the same to Ansible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.inventory.load import load
from agent.system.folder import FolderTree
from tests.inventory.samples import checked

ROOT = Path(__file__).parents[1]

INVENTORIES = ["local", "example"]

ANSIBLE = Path(sys.executable).with_name("ansible-inventory")


@pytest.mark.parametrize("name", INVENTORIES)
def test_nobody_complains_about_an_inventory_of_this_repository(name: str) -> None:
    checked(load(FolderTree(ROOT), name))


@pytest.mark.parametrize("name", INVENTORIES)
def test_the_lock_of_an_inventory_is_as_its_tools_ask(name: str) -> None:
    environment = load(FolderTree(ROOT), name)
    assert list(environment.stale()) == []


@pytest.mark.parametrize("name", INVENTORIES)
@pytest.mark.skipif(not ANSIBLE.exists(), reason="ansible-core is not installed")
def test_an_inventory_means_to_ansible_what_it_means_here(name: str) -> None:
    command = [f"{ANSIBLE}", "-i", f"{ROOT}/inventories/{name}/hosts.yaml", "--list"]
    listed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert load(FolderTree(ROOT), name).inventory.as_list() == json.loads(listed)


def test_the_example_is_a_fleet() -> None:
    inventory = load(FolderTree(ROOT), "example").inventory
    assert len(inventory.hosts) >= 12
    assert len(set(inventory.groups) - {"all", "ungrouped"}) >= 5


def test_the_example_names_no_index_to_take_tools_from() -> None:
    assert "://" not in (ROOT / "inventories/example/lock.yaml").read_text()


def test_the_first_try_adds_and_replaces_nothing_but_the_motd() -> None:
    wanted = {placed.name: concrete for placed, concrete in load(FolderTree(ROOT), "local").concrete("localhost")}
    assert set(wanted) == {"packages", "motd", "dotfiles"}
    packages, dotfiles = wanted["packages"], wanted["dotfiles"]
    assert packages is not None
    assert dotfiles is not None
    assert not packages.arguments["absent"]
    files = [item for item in dotfiles.arguments["items"] if item["kind"] == "file"]
    assert {item["home"] for item in files} == {"root"}
    assert {item["policy"] for item in files} == {"keep"}
    assert not {item["path"] for item in files} & {".bashrc", ".bash_profile", ".profile", ".vimrc", ".tmux.conf"}
