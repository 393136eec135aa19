from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.sysctl.spec import SysctlSpec
from tests.deploys.commit import Commit


def spec(written: Any) -> SysctlSpec:
    return SysctlSpec.model_validate(SysctlSpec.from_short(written))


def test_a_value_is_short_for_a_setting() -> None:
    assert spec({"vm.swappiness": 10}) == spec({"settings": {"vm/swappiness": {"value": "10"}}})


def test_space_between_words_is_single() -> None:
    assert spec({"net.ipv4.ip_local_port_range": " 1024\t 65000"}) == spec(
        {"net.ipv4.ip_local_port_range": "1024 65000"}
    )


def test_every_setting_is_a_resource(tmp_path: Path) -> None:
    concrete = spec({"vm.a": 1, "vm.b": {"value": 2, "optional": True}}).concrete(Commit(tmp_path, {}))
    assert [resource.key for resource in concrete.resources] == ["sysctl:vm.a", "sysctl:vm.b"]
    assert concrete.arguments == {
        "settings": {"vm.a": {"value": "1", "optional": False}, "vm.b": {"value": "2", "optional": True}}
    }


@pytest.mark.parametrize("value", [True, 1.5, "", "a\0b", None, []])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        spec({"vm.a": value})
    assert isinstance(value, (type(None), list)) or caught.value.error_count() == 1


def test_a_setting_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"vm.a is there twice"):
        spec({"vm.a": 1, "vm/a": 2})


def test_a_later_play_wins() -> None:
    merged = spec({"vm.a": {"value": 1, "optional": True}, "vm.b": 1}).merged(spec({"vm.a": 2}))
    assert merged == spec({"vm.a": {"value": 2, "optional": True}, "vm.b": 1})


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ({"vm.a": 1}, True),
        ({"vm.a": "1 2"}, True),
        ({"settings": {"vm.a": {"value": 1, "optional": True}}}, True),
        ({"vm.a": {"vlaue": 1}}, False),
        ({"vm.a": True}, False),
    ],
)
def test_the_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(SysctlSpec.model_json_schema()).is_valid(written) is valid
