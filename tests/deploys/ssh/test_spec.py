from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.items import items_from_json
from agent.deploys.ssh.reading import DROP_IN
from agent.deploys.ssh.spec import KNOWN_HOSTS, SshSpec
from tests.deploys.commit import Commit

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILxJcQw5PeuLwEp5M4ChpAh34t4Ndc2IhypPrfCR85Fh"


def spec(written: Any) -> SshSpec:
    return SshSpec.model_validate(SshSpec.from_short(written))


def text(written: Any, tmp_path: Path) -> str:
    """The drop-in without the comment at its top."""
    items = items_from_json(spec(written).concrete(Commit(tmp_path, {})).arguments["items"])
    (drop_in,) = (item for item in items if item.path == DROP_IN)
    return (drop_in.text or "").partition("\n")[2]


@pytest.mark.parametrize(
    ("keyword", "value", "lines"),
    [
        ("PasswordAuthentication", False, "PasswordAuthentication no\n"),
        ("StrictModes", True, "StrictModes yes\n"),
        ("MaxAuthTries", 3, "MaxAuthTries 3\n"),
        ("PermitRootLogin", "prohibit-password", "PermitRootLogin prohibit-password\n"),
        ("AllowGroups", ["ssh", "admin"], "AllowGroups ssh admin\n"),
        ("AllowGroups", ["domain users", "admin"], 'AllowGroups "domain users" admin\n'),
        ("Ciphers", ["aes256-gcm@openssh.com", "aes256-ctr"], "Ciphers aes256-gcm@openssh.com,aes256-ctr\n"),
        ("Port", [22, 2222], "Port 22\nPort 2222\n"),
    ],
)
def test_a_value_becomes_the_words_that_its_keyword_wants(keyword: str, value: Any, lines: str, tmp_path: Path) -> None:
    assert text({"settings": {keyword: value}}, tmp_path) == lines


def test_conditions_come_after_what_holds_for_all_in_their_own_order(tmp_path: Path) -> None:
    written = {
        "match": {"User deploy": {"AllowTcpForwarding": False}, "Address 10.0.0.0/8": {"MaxAuthTries": 9}},
        "settings": {"X11Forwarding": False, "MaxAuthTries": 3},
    }
    assert text(written, tmp_path) == (
        "MaxAuthTries 3\nX11Forwarding no\n"
        "\nMatch User deploy\n    AllowTcpForwarding no\n\nMatch Address 10.0.0.0/8\n    MaxAuthTries 9\n"
    )


def test_known_hosts_are_a_block_with_a_line_for_each_key(tmp_path: Path) -> None:
    hosts = {"git.example.org,10.0.0.5": [KEY], "*.example.org": [f"@cert-authority {KEY} our CA"]}
    (item,) = (
        item
        for item in items_from_json(spec({"known_hosts": hosts}).concrete(Commit(tmp_path, {})).arguments["items"])
        if item.path == KNOWN_HOSTS
    )
    assert item.key == f"block:{KNOWN_HOSTS}#ssh"
    assert item.text == f"@cert-authority *.example.org {KEY} our CA\ngit.example.org,10.0.0.5 {KEY}\n"


def test_what_is_not_asked_for_is_no_resource(tmp_path: Path) -> None:
    def keys(written: Any) -> list[str]:
        return [resource.key for resource in spec(written).concrete(Commit(tmp_path, {})).resources]

    assert keys({"known_hosts": {"a": [KEY]}}) == ["directory:/etc/ssh", f"block:{KNOWN_HOSTS}#ssh"]
    assert f"file:{DROP_IN}" in keys({"settings": {"MaxAuthTries": 3}})


def test_sshd_is_told_when_its_settings_leave(tmp_path: Path) -> None:
    resources = spec({"settings": {"MaxAuthTries": 3}}).concrete(Commit(tmp_path, {})).resources
    assert {resource.key: resource.reloads for resource in resources}[f"file:{DROP_IN}"] == (
        "ssh.service",
        "sshd.service",
    )


def test_a_later_play_wins_by_keyword_whatever_its_case() -> None:
    earlier = spec({"settings": {"MaxAuthTries": 3, "AllowGroups": ["ops"]}, "match": {"User a": {"MaxSessions": 1}}})
    later = spec({"settings": {"maxauthtries": 5, "AllowGroups": ["dev"]}, "match": {"User a": {"Banner": "none"}}})
    assert earlier.merged(later) == spec(
        {
            "settings": {"maxauthtries": 5, "AllowGroups": ["dev"]},
            "match": {"User a": {"MaxSessions": 1, "Banner": "none"}},
        }
    )


def test_keys_of_one_server_are_united() -> None:
    merged = spec({"known_hosts": {"a": [KEY]}}).merged(spec({"known_hosts": {"a": [f"{KEY} x", KEY], "b": [KEY]}}))
    assert merged == spec({"known_hosts": {"a": [KEY, f"{KEY} x"], "b": [KEY]}})


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"settings": {"Max Auth": 3}}, "not a keyword"),
        ({"settings": {"Match": "User a"}}, "write it below `match`"),
        ({"settings": {"Include": "/etc/x"}}, "settings themselves"),
        ({"settings": {"MaxAuthTries": 3, "maxauthtries": 4}}, "twice"),
        ({"settings": {"AllowUsers": []}}, "not empty"),
        ({"settings": {"Banner": "a\nPermitRootLogin yes"}}, "one line"),
        ({"settings": {"Banner": None}}, "no value of a setting"),
        ({"match": {"deploy": {}}}, "no condition"),
        ({"match": {"User a\nMatch all": {}}}, "one line"),
        ({"known_hosts": {"|1|abc=|def=": [KEY]}}, "not a server"),
        ({"known_hosts": {"git example": [KEY]}}, "not a server"),
        ({"known_hosts": {"a": ["ssh-ed25519 AAAA"]}}, "not a public key"),
        ({"known_hosts": {"a": [f"b {KEY}"]}}, "something stands before"),
        ({"setings": {}}, "Extra inputs"),
    ],
)
def test_what_sshd_could_not_read_is_refused_with_a_word(written: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)


def test_each_mistake_is_told_at_its_own_place() -> None:
    with pytest.raises(ValidationError) as caught:
        spec({"match": {"User a": {"Match": 1}, "User b": {"Include": 1}}, "known_hosts": {"no server": []}})
    places = [error["loc"][:2] for error in caught.value.errors()]
    assert places == [("match", "User a"), ("match", "User b"), ("known_hosts", "no server")]


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ({"settings": {"MaxAuthTries": 3, "UsePAM": True, "AllowGroups": ["a"]}, "known_hosts": {"a": [KEY]}}, True),
        ({"settings": {"AllowUsers": []}}, False),
        ({"settings": {"MaxAuthTries": 3.5}}, False),
    ],
)
def test_the_json_schema_knows_the_values(written: Any, valid: bool) -> None:
    assert Draft202012Validator(SshSpec.model_json_schema()).is_valid(written) is valid
