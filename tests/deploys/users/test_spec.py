from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.users.spec import UsersSpec
from tests.deploys.commit import Commit
from tests.deploys.users.test_keys import ANN, DESK


def spec(written: Any) -> UsersSpec:
    return UsersSpec.model_validate(UsersSpec.from_short(written))


def test_names_on_the_first_level_are_accounts_but_for_the_two_levels_themselves() -> None:
    short = spec({"ann": {"uid": 1201}, "bob": None, "groups": {"dev": None}})
    assert short == spec({"accounts": {"ann": {"uid": 1201}, "bob": {}}, "groups": {"dev": {}}})
    assert short == spec({"accounts": {"bob": {}}, "ann": {"uid": 1201}, "groups": {"dev": {}}})
    assert spec(["ann", "bob"]) == spec({"ann": None, "bob": None})


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ({"ann": {"uid": 1201}, "bob": None, "groups": {"dev": None}}, True),
        ({"accounts": {"ann": {"uid": 1201}}}, True),
        ({"ann": {"uidd": 1201}}, False),
        ({"groups": {"dev": {"uid": 1}}}, False),
    ],
)
def test_the_json_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(UsersSpec.model_json_schema()).is_valid(written) is valid


def test_two_plays_merge_field_by_field_and_unite_sets() -> None:
    merged = spec({"ann": {"uid": 1201, "groups": ["dev"], "keys": [ANN]}}).merged(
        spec({"ann": {"groups": ["ops", "dev"], "keys": [DESK], "shell": "/bin/zsh"}, "bob": None})
    )
    wanted = {"uid": 1201, "groups": ["dev", "ops"], "keys": [ANN, DESK], "shell": "/bin/zsh"}
    assert merged == spec({"ann": wanted, "bob": None})


def test_a_later_play_takes_an_account_away_and_gives_it_back() -> None:
    gone = spec({"ann": {"uid": 1201}}).merged(spec({"ann": {"absent": True}}))
    assert gone.accounts["ann"].absent
    assert not gone.merged(spec({"ann": {"absent": False}})).accounts["ann"].absent
    for back in ({"ann": {"shell": "/bin/sh"}}, {"ann": None}, ["ann"]):
        assert not gone.merged(spec(back)).accounts["ann"].absent
    assert gone.merged(spec({"bob": {}})).accounts["ann"].absent


def test_a_later_play_gives_a_group_back() -> None:
    gone = spec({"groups": {"dev": {"absent": True}}})
    assert not gone.merged(spec({"groups": {"dev": {"gid": 1200}}})).groups["dev"].absent


def test_groups_and_accounts_are_resources(tmp_path: Path) -> None:
    resources = spec({"ann": {}, "groups": {"dev": {}}}).concrete(Commit(tmp_path, {})).resources
    assert [resource.key for resource in resources] == ["group:dev", "user:ann"]


def test_arguments_come_back_as_the_same_spec(tmp_path: Path) -> None:
    wanted = spec({"ann": {"uid": 1201, "keys": [ANN], "sudo": True}, "groups": {"dev": {"gid": 1200}}})
    again = UsersSpec.model_validate(wanted.concrete(Commit(tmp_path, {})).arguments)
    assert (again.accounts, again.groups) == (wanted.accounts, wanted.groups)


def test_a_password_hash_is_not_shown() -> None:
    assert "secret" not in repr(spec({"ann": {"password_hash": "$6$salt$secret"}}))


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"Ann": None}, "cannot be a name"),
        ({"-x": None}, "cannot be a name"),
        ({"ann.b": None}, "cannot be a name"),
        ({"ann": {"groups": ["a:b"]}}, "cannot be a name"),
        ({"ann": {"uid": -1}}, "greater than or equal"),
        ({"ann": {"uid": 2**32 - 1}}, "less than or equal"),
        ({"ann": {"shell": "bash"}}, "absolute path"),
        ({"ann": {"home": "/home/a:b"}}, "absolute path"),
        ({"ann": {"comment": "Ann: boss"}}, "colon"),
        ({"ann": {"comment": "a\nroot::0:0"}}, "colon"),
        ({"ann": {"keys": ["ssh-ed25519 AAAAC3Nz ann"]}}, "not a public key"),
        ({"ann": {"sudo": "yes"}}, "sudoers"),
        ({"ann": {"sudo": "ALL=(ALL) ALL\nbob ALL=(ALL) ALL"}}, "sudoers"),
        ({"ann": {"password_hash": "hunter2"}}, "crypt"),
        ({"ann": {"password_hash": "$6$a$b:0:0"}}, "crypt"),
        ({"ann": {"sudoer": True}}, "Extra inputs"),
    ],
)
def test_what_is_no_account_is_refused_with_a_word(written: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)
