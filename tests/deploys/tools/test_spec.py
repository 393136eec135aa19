from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.spec import Concrete
from agent.deploys.tools.spec import ToolsSpec
from agent.domain import codec
from agent.domain.pins import Asset, Pins, ToolPin
from agent.errors import InventoryError
from tests.deploys.commit import Commit

ASSET = Asset("https://example.org/rg.tar.gz", "a" * 64, 100)
RG = ToolPin("ripgrep", "14.1.1", {"rg": "rg"}, {"linux-x86_64": ASSET, "linux-aarch64": ASSET})
RUFF = ToolPin("ruff", "0.6.9", {"ruff": "ruff"}, requirements=(f"ruff==0.6.9 --hash=sha256:{'b' * 64}",))
PINS = {"ripgrep": RG, "ruff": RUFF}


def spec(written: Any) -> ToolsSpec:
    return ToolsSpec.model_validate(ToolsSpec.from_short(written))


def concrete(
    tmp_path: Path, written: Any, tools: Mapping[str, ToolPin] = PINS, behind: Mapping[str, str] | None = None
) -> Concrete:
    commit = Commit(tmp_path, {})
    commit.pins = Pins(tools, behind=behind or {})
    return spec(written).concrete(commit)


def digests(found: Concrete) -> dict[str, str]:
    return {resource.key: resource.digest for resource in found.resources}


def test_a_list_and_the_long_form_say_the_same() -> None:
    assert spec(["ripgrep", "ruff", "ripgrep"]) == spec({"tools": ["ripgrep", "ruff"]})


def test_a_later_play_adds_to_an_earlier_one() -> None:
    assert spec(["ripgrep"]).merged(spec(["ruff", "ripgrep"])).tools == ("ripgrep", "ruff")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b"])
def test_a_name_that_could_be_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a tool"):
        spec([name])


def test_the_arguments_are_the_pins_of_all_platforms(tmp_path: Path) -> None:
    found = concrete(tmp_path, ["ruff", "ripgrep"])
    assert codec.from_plain(found.arguments["tools"], list[ToolPin]) == [RUFF, RG]
    assert list(digests(found)) == ["tool:ruff", "tool:ripgrep"]


def test_a_command_is_claimed_as_the_link_that_it_is(tmp_path: Path) -> None:
    other = ToolPin("other", "1", {"rg": "rg"}, {"linux-x86_64": ASSET})
    both = [concrete(tmp_path, [name], {**PINS, "other": other}).claims for name in ("ripgrep", "other")]
    assert [[claim.key for claim in claims] for claims in both] == [["link:/usr/local/bin/rg"]] * 2
    assert both[0] != both[1]


@pytest.mark.parametrize(
    "other",
    [
        replace(RG, version="14.1.2"),
        replace(RG, bin={"rg": "bin/rg"}),
        replace(RG, assets={"linux-x86_64": replace(ASSET, sha256="c" * 64)}),
        replace(RG, assets={"linux-x86_64": replace(ASSET, bin={"rg": "x"})}),
    ],
)
def test_another_pin_is_another_digest(tmp_path: Path, other: ToolPin) -> None:
    before = digests(concrete(tmp_path, ["ripgrep", "ruff"]))
    after = digests(concrete(tmp_path, ["ripgrep", "ruff"], {**PINS, "ripgrep": other}))
    assert after["tool:ripgrep"] != before["tool:ripgrep"]
    assert after["tool:ruff"] == before["tool:ruff"]


def refusal(tmp_path: Path, *arguments: Any) -> InventoryError:
    with pytest.raises(InventoryError) as refused:
        concrete(tmp_path, *arguments)
    return refused.value


def test_a_tool_without_a_pin_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, ["ripgrap"]).hint == "did you mean ripgrep?"
    assert "zoxide" in refusal(tmp_path, ["zoxide"]).message


def test_a_tool_that_is_not_locked_says_how_to_lock_it(tmp_path: Path) -> None:
    refused = refusal(tmp_path, ["fd"], PINS, {"fd": 'lock.yaml has no pin for the tool "fd"'})
    assert (refused.kind, refused.hint) == ("not-locked", "run `hostwright lock` in the config repo")


def test_two_tools_with_one_command_are_refused(tmp_path: Path) -> None:
    both = {**PINS, "rg2": replace(RG, name="rg2")}
    assert refusal(tmp_path, ["ripgrep", "rg2"], both).message == "ripgrep and rg2 both bring the command rg"


@pytest.mark.parametrize("odd", [replace(RG, version="../.."), replace(RG, bin={"../../bin/sh": "rg"})])
def test_a_pin_that_leads_elsewhere_is_refused(tmp_path: Path, odd: ToolPin) -> None:
    assert "cannot be the name" in refusal(tmp_path, ["ripgrep"], {"ripgrep": odd}).message
