"""Which host a machine is: never a guess."""

from __future__ import annotations

import pytest

from agent.cli.hostnames import choose_host, choose_inventory, own_names
from agent.errors import InventoryError

OWN = ("web01.example.org", "web01", "localhost")


def test_the_fullest_own_name_that_the_inventory_knows_is_taken() -> None:
    assert choose_host(["web01", "web01.example.org"], None, OWN, "inventories/x") == "web01.example.org"
    assert choose_host(["web01", "web02"], None, OWN, "inventories/x") == "web01"


def test_localhost_is_every_machine() -> None:
    assert choose_host(["localhost"], None, OWN, "inventories/x") == "localhost"
    assert own_names()[-1] == "localhost"


def test_a_name_that_was_given_is_taken_exactly_or_not_at_all() -> None:
    assert choose_host(["db1", "web01"], "db1", OWN, "inventories/x") == "db1"
    with pytest.raises(InventoryError, match="does not know a host web1") as caught:
        choose_host(["web01"], "web1", OWN, "inventories/x")
    assert "web01" in caught.value.hint


def test_an_unknown_machine_is_no_host_even_where_there_is_only_one() -> None:
    with pytest.raises(InventoryError, match="this machine"):
        choose_host(["db1"], None, OWN, "inventories/x")


def test_a_fleet_is_not_listed_whole() -> None:
    with pytest.raises(InventoryError) as caught:
        choose_host([f"node{number}" for number in range(1000)], "other", OWN, "inventories/x")
    assert len(caught.value.hint) < 200


@pytest.mark.parametrize(
    ("known", "wanted", "chosen"),
    [({"local", "example"}, None, "local"), ({"fleet"}, None, "fleet"), ({"a", "b"}, "b", "b")],
)
def test_the_inventory_is_the_one_named_else_local_else_the_only_one(
    known: set[str], wanted: str | None, chosen: str
) -> None:
    assert choose_inventory(known, wanted) == chosen


@pytest.mark.parametrize(("known", "wanted"), [({"a", "b"}, None), ({"a"}, "b"), (set(), None)])
def test_an_inventory_that_cannot_be_told_is_an_error_that_lists_them(known: set[str], wanted: str | None) -> None:
    with pytest.raises(InventoryError) as caught:
        choose_inventory(known, wanted)
    assert all(name in caught.value.hint for name in known)
