from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.hosts.spec import HostsSpec
from tests.deploys.commit import Commit

DB = "192.0.2.10"


def spec(written: Any) -> HostsSpec:
    return HostsSpec.model_validate(HostsSpec.from_short(written))


def test_names_are_short_for_an_entry() -> None:
    assert spec({DB: "db1", "2001:DB8::0": ["a", "b"]}) == spec(
        {"entries": {DB: {"names": ["db1"]}, "2001:db8::": {"names": ["a", "b"]}}}
    )


def test_every_address_is_a_resource(tmp_path: Path) -> None:
    concrete = spec({DB: ["db1.example.org", "db1"], "2001:DB8::1": "db2"}).concrete(Commit(tmp_path, {}))
    assert [resource.key for resource in concrete.resources] == [
        "hosts:/etc/hosts#192.0.2.10",
        "hosts:/etc/hosts#2001:db8::1",
    ]
    assert HostsSpec.properties(concrete.arguments)[f"hosts:/etc/hosts#{DB}"] == {"text": "db1.example.org db1"}


def test_names_of_a_later_play_go_behind_those_of_an_earlier() -> None:
    merged = spec({DB: "db1", "192.0.2.11": "a"}).merged(spec({DB: ["db2", "db1"], "192.0.2.12": "b"}))
    assert merged == spec({DB: ["db1", "db2"], "192.0.2.11": "a", "192.0.2.12": "b"})


def test_an_address_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="2001:db8::1 is there twice"):
        spec({"2001:db8::1": "a", "2001:DB8:0::1": "b"})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0:0::1", "::ffff:127.0.0.1"])
def test_the_addresses_of_localhost_are_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is the address of localhost"):
        spec({address: "db1"})


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost.localdomain", "x.localhost"])
def test_localhost_gets_no_other_address(name: str) -> None:
    with pytest.raises(ValidationError, match="is the host itself"):
        spec({DB: ["db1", name]})


@pytest.mark.parametrize("address", ["db1", "192.0.2.010", "192.0.2.0/24", "fe80::1%eth0", "::\n", "", "192.0.2.1 #"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is not an IP address"):
        spec({address: "db1"})


@pytest.mark.parametrize("name", ["a", "A-1", "1a.2b", "xn--mnchen-3ya.example", "x" * 63, ".".join(["x" * 49] * 5)])
def test_a_name_is_made_of_labels(name: str) -> None:
    assert spec({DB: name}).entries[DB].names == (name,)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a\n", "a#", "-a", "a-", "a_b", "a.", ".a", "a..b", "ä", "x" * 64),
        *(".".join(["x" * 50] * 5), "192.0.2.11", "7", "a.7", "::1"),
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a host"):
        spec({DB: name})


@pytest.mark.parametrize("value", [None, [], {}, 7, True, [7], [None], {"names": []}, {"name": "a"}, ["a"] * 101])
def test_what_gives_no_names_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        spec({DB: value})


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ({DB: "db1"}, True),
        ({DB: ["db1", "db2"]}, True),
        ({"entries": {DB: {"names": ["db1"]}}}, True),
        ({DB: []}, False),
        ({DB: 1}, False),
        ({DB: {"name": ["db1"]}}, False),
    ],
)
def test_the_schema_knows_all_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(HostsSpec.model_json_schema()).is_valid(written) is valid
