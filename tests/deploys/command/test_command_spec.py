from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.command.spec import CommandSpec
from agent.errors import InventoryError
from tests.deploys.commit import Commit


def spec(written: Any) -> CommandSpec:
    return CommandSpec.model_validate(CommandSpec.from_short(written))


def concrete(written: Any, tmp_path: Path) -> list[dict[str, Any]]:
    commands: Any = spec(written).concrete(Commit(tmp_path, {})).arguments["commands"]
    return [{key: value for key, value in command.items() if key != "digest"} for command in commands]


def test_everything_is_filled_in(tmp_path: Path) -> None:
    assert concrete({"a": {"run": ["/bin/a", 5], "env": {"N": 1}, "timeout": "2m", "cwd": "/srv/"}}, tmp_path) == [
        {
            "name": "a",
            "argv": ["/bin/a", "5"],
            "unless": None,
            "creates": None,
            "user": "root",
            "cwd": "/srv",
            "env": {"N": "1"},
            "timeout_s": 120,
        }
    ]


def test_a_shell_gets_the_text_as_it_is(tmp_path: Path) -> None:
    (command,) = concrete({"a": {"shell": "echo $HOME; exit 1"}}, tmp_path)
    assert command["argv"] == ["/bin/sh", "-euc", "echo $HOME; exit 1"]


def test_they_keep_their_order(tmp_path: Path) -> None:
    written = {name: {"run": [name]} for name in ("z", "a", "m")}
    assert [command["name"] for command in concrete(written, tmp_path)] == ["z", "a", "m"]


def test_each_is_a_resource_with_a_digest_of_its_own(tmp_path: Path) -> None:
    commit = Commit(tmp_path, {})
    one, other = (spec({"a": {"run": ["a"]}, "b": {"run": ["b", n]}}).concrete(commit).resources for n in ("1", "2"))
    assert [resource.key for resource in one] == ["command:a", "command:b"]
    assert one[0] == other[0]
    assert one[1] != other[1]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ({"run": []}, "there is no program"),
        ({"run": "reboot now"}, "run"),
        ({"run": ["a"], "unless": [""]}, "there is no program"),
        ({"shell": " "}, "there is nothing for the shell"),
        ({"run": ["a"], "creates": "etc/x"}, "'etc/x' is not an absolute path"),
        ({"run": ["a"], "cwd": "x"}, "'x' is not an absolute path"),
        ({"run": ["a"], "user": "a b"}, "is not the name of a user"),
        ({"run": ["a"], "env": {"A=B": "x"}}, "is not the name of a variable"),
        ({"run": ["a"], "timeout": "0s"}, "'0s' is not a time"),
        ({"run": ["a"], "timeout": "5 minutes"}, "write 60s, 30m, 4h or 2d"),
    ],
)
def test_what_cannot_be_run_is_refused(command: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec({"a": command})
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a b"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is not a name for a command"):
        spec({name: {"run": ["a"]}})


@pytest.mark.parametrize("command", [{}, {"run": ["a"], "shell": "b"}])
def test_it_says_what_to_run_and_once(command: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"commands\.a: it is not said what runs"):
        concrete({"a": command}, tmp_path)


def test_a_later_play_changes_of_a_command_what_it_mentions() -> None:
    earlier = spec({"a": {"run": ["a", "1"], "env": {"A": 1}, "user": "ann"}, "b": {"run": ["b"]}})
    merged = earlier.merged(spec({"a": {"run": ["a", "2"], "env": {"B": 2}}, "b": {"shell": "b"}})).commands
    assert (merged["a"].run, merged["a"].env, merged["a"].user) == (("a", "2"), {"A": 1, "B": 2}, "ann")
    assert (merged["b"].run, merged["b"].shell) == (None, "b")


@pytest.mark.parametrize(
    ("written", "valid"),
    [({"a": {"run": ["a", 1]}}, True), ({"commands": {"a": {"shell": "a"}}}, True), ({"a": {"rnu": []}}, False)],
)
def test_the_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(CommandSpec.model_json_schema()).is_valid(written) is valid
