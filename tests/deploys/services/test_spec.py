from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.services.spec import ServicesSpec, full_name
from agent.deploys.unit_state import template_of
from agent.errors import InventoryError
from tests.deploys.commit import Commit

UNIT = "[Service]\nExecStart=/bin/sleep {{ seconds }}\n"


def spec(written: Any) -> ServicesSpec:
    return ServicesSpec.model_validate(ServicesSpec.from_short(written))


def concrete(written: Any, commit: Commit) -> Any:
    return spec(written).concrete(commit).arguments["units"]


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    return Commit(tmp_path, {"files/a.service": UNIT, "files/b.service.j2": UNIT, "files/c": b"\xff"}, seconds=5)


def test_a_list_is_short_for_running_and_enabled() -> None:
    assert spec(["nginx"]) == spec({"nginx": {"running": True, "enabled": True}}) == spec({"nginx": None})


def test_the_long_form_names_the_level_that_the_short_one_leaves_out() -> None:
    assert spec({"units": {"nginx": {"running": True}}}) == spec({"nginx": {"running": True}})
    assert spec({"units": {"nginx": None}}) == spec({"nginx": None})


@pytest.mark.parametrize(
    ("written", "valid"),
    [
        ({"nginx": {"running": True}, "cron": None}, True),
        ({"units": {"nginx": {"running": True}, "cron": None}}, True),
        ({"nginx": {"runing": True}}, False),
    ],
)
def test_the_json_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(ServicesSpec.model_json_schema()).is_valid(written) is valid


def test_a_name_without_a_type_is_a_service() -> None:
    assert list(spec({"nginx": None, "a.timer": {}, "fluent.d": {}}).units) == [
        "nginx.service",
        "a.timer",
        "fluent.d.service",
    ]


def test_two_names_of_one_unit_merge() -> None:
    merged = spec({"nginx": {"running": True, "restart_on": ["/a"]}}).merged(
        spec({"nginx.service": {"running": False, "restart_on": ["/b", "/a"]}, "cron": None})
    )
    assert merged == spec({"nginx": {"running": False, "restart_on": ["/a", "/b"]}, "cron": None})


def test_a_later_text_takes_the_place_of_an_earlier_file() -> None:
    merged = spec({"a": {"unit": "files/a.service", "enabled": True}}).merged(spec({"a": {"content": UNIT}}))
    assert merged == spec({"a": {"unit": None, "content": UNIT, "enabled": True}})


def test_a_unit_file_comes_from_the_commit_rendered_where_it_is_a_template(commit: Commit) -> None:
    units = concrete({"a": {"unit": "files/a.service"}, "b": {"unit": "files/b.service.j2"}}, commit)
    assert units["a.service"]["content"] == UNIT
    assert units["b.service"]["content"] == UNIT.replace("{{ seconds }}", "5")


def test_the_unit_file_is_in_the_resource_digest(commit: Commit) -> None:
    wanted = spec({"a": {"unit": "files/a.service", "running": True}})
    before = wanted.concrete(commit).resources
    commit.put("files/a.service", "[Service]\nExecStart=/bin/true\n")
    after = wanted.concrete(commit).resources
    assert [resource.key for resource in before] == ["unit:a.service"]
    assert before != after


def test_drop_ins_are_files_that_reload_their_unit_and_move_its_digest(commit: Commit) -> None:
    folder = "/etc/systemd/system/a.service.d"
    before, after = (
        {resource.key: resource for resource in spec({"a": {"drop_ins": {"b.conf": text}}}).concrete(commit).resources}
        for text in ("[Service]\n", "[Service]\nMemoryMax=1G\n")
    )
    assert list(before) == [f"directory:{folder}", f"file:{folder}/b.conf", "unit:a.service"]
    assert before[f"file:{folder}/b.conf"].reloads == ("a.service",)
    assert [key for key in before if before[key] != after[key]] == [f"file:{folder}/b.conf", "unit:a.service"]


def test_drop_ins_of_two_plays_are_united_by_name() -> None:
    merged = spec({"a": {"drop_ins": {"x.conf": "1", "y.conf": "1"}}}).merged(
        spec({"a": {"drop_ins": {"y.conf": "2"}}})
    )
    assert merged == spec({"a": {"drop_ins": {"x.conf": "1", "y.conf": "2"}}})


@pytest.mark.parametrize("path", ["files/gone.service", "files/c"])
def test_a_unit_file_that_cannot_be_had_is_named(commit: Commit, path: str) -> None:
    with pytest.raises(InventoryError, match=path):
        concrete({"a": {"unit": path}}, commit)


@pytest.mark.parametrize(
    ("unit", "complaint"),
    [
        ({"unit": "files/a.service", "content": UNIT}, "both unit and content"),
        ({"masked": True, "running": True}, "masked"),
        ({"masked": True, "content": UNIT}, "masked"),
    ],
)
def test_what_contradicts_itself_after_merging_is_refused(commit: Commit, unit: Any, complaint: str) -> None:
    with pytest.raises(InventoryError, match=complaint):
        concrete({"a": unit}, commit)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"--now": None}, "not the name of a unit"),
        ({"nginx*": None}, "not the name of a unit"),
        ({"../x": None}, "not the name of a unit"),
        ({"shop.servce": None}, "did you mean shop.service"),
        ({"backup.timers": None}, "did you mean backup.timer"),
        ({"a": {}, "a.service": {}}, "twice"),
        ({"a@": {"running": True}}, "template"),
        ({"a": {"restart_on": ["etc/a"]}}, "absolute"),
        ({"a": {"drop_ins": {"limits": "x"}}}, r"ends in \.conf"),
        ({"a": {"drop_ins": {"../../x.conf": "x"}}}, "not the name of a drop-in"),
        ({"a": {"runing": True}}, "Extra inputs"),
    ],
)
def test_what_is_no_unit_is_refused_with_a_word(written: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)


def test_an_instance_belongs_to_its_template() -> None:
    assert template_of("getty@tty1.service") == "getty@.service"
    assert template_of(full_name("nginx")) == "nginx.service"
