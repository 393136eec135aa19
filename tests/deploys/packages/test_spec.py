from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.packages.spec import PackagesSpec
from tests.deploys.commit import Commit


def spec(written: Any) -> PackagesSpec:
    return PackagesSpec.model_validate(PackagesSpec.from_short(written))


def test_a_list_is_short_for_present() -> None:
    assert spec(["git", "curl"]) == spec({"present": ["git", "curl"]})


def test_arguments_name_each_package_with_its_pin(tmp_path: Path) -> None:
    concrete = spec({"present": ["git", "nginx=1.22.1-9"], "absent": ["nano"], "update": "12h"}).concrete(
        Commit(tmp_path, {})
    )
    assert concrete.arguments == {
        "present": {"git": None, "nginx": "1.22.1-9"},
        "held": [],
        "absent": ["nano"],
        "repositories": [],
        "items": [],
        "upgrades": None,
        "update_s": 43200,
        "recommends": None,
    }


def test_every_package_is_a_resource_and_its_pin_is_in_its_digest(tmp_path: Path) -> None:
    def digests(written: Any) -> dict[str, str]:
        return {resource.key: resource.digest for resource in spec(written).concrete(Commit(tmp_path, {})).resources}

    plain = digests({"present": ["git", "jq"], "absent": ["nano"]})
    pinned = digests({"present": ["git=1", "jq"], "update": "5m"})
    assert list(plain) == ["package:git", "package:jq", "package:nano"]
    assert plain["package:git"] != pinned["package:git"]
    assert plain["package:jq"] == pinned["package:jq"]
    assert digests(["nano"])["package:nano"] != plain["package:nano"]


def test_a_held_package_is_present_and_its_hold_is_in_its_digest(tmp_path: Path) -> None:
    concrete = spec({"present": ["nginx=1", "git"], "held": ["nginx", "vim"]}).concrete(Commit(tmp_path, {}))
    assert concrete.arguments["present"] == {"nginx": "1", "git": None, "vim": None}
    plain = spec({"present": ["nginx=1", "git", "vim"]}).concrete(Commit(tmp_path, {}))
    changed = {held.key for held, other in zip(concrete.resources, plain.resources, strict=True) if held != other}
    assert changed == {"package:nginx", "package:vim"}


def test_of_two_plays_the_later_also_decides_on_holds() -> None:
    merged = spec({"held": ["nginx", "git"], "absent": ["vim"]}).merged(spec({"held": ["vim"], "absent": ["git"]}))
    assert (merged.held, merged.absent) == (("nginx", "vim"), ("git",))


def test_upgrades_bring_a_setting_that_keeps_apts_lists_new(tmp_path: Path) -> None:
    keys = [resource.key for resource in spec({"upgrades": "security"}).concrete(Commit(tmp_path, {})).resources]
    assert keys == ["file:/etc/apt/apt.conf.d/60hostwright", "directory:/etc/apt/apt.conf.d"]


@pytest.mark.parametrize(
    ("earlier", "later", "present", "absent"),
    [
        (["git"], ["curl"], ("git", "curl"), ()),
        (["git", "nano"], {"absent": ["nano"]}, ("git",), ("nano",)),
        ({"absent": ["nano"]}, ["nano"], ("nano",), ()),
        (["nginx=1"], ["nginx=2"], ("nginx=2",), ()),
        (["nginx=1", "git"], {"absent": ["nginx"]}, ("git",), ("nginx",)),
    ],
)
def test_of_two_plays_the_later_wins_package_by_package(
    earlier: Any, later: Any, present: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    merged = spec(earlier).merged(spec(later))
    assert (merged.present, merged.absent) == (present, absent)


def test_a_later_play_that_does_not_mention_a_setting_leaves_it() -> None:
    merged = spec({"update": "2h", "recommends": False}).merged(spec({"present": ["git"], "recommends": True}))
    assert (merged.update, merged.recommends) == ("2h", True)


@pytest.mark.parametrize("name", ["g++", "libstdc++6", "libc6:i386", "python3.11", "linux-image-6.1.0-18-amd64", "0ad"])
def test_names_of_real_packages_are_taken(name: str) -> None:
    assert spec({"present": [name], "absent": [f"x-{name}"]}).present == (name,)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (["--allow-unauthenticated"], "not a package"),
        (["git; reboot"], "not a package"),
        (["git="], "not a package"),
        (["nginx=1.22.*"], "not a package"),
        (["git", "git=1"], "listed twice"),
        ({"absent": ["nano=7"]}, "not the name"),
        ({"present": ["nano"], "absent": ["nano"]}, "both present and absent"),
        ({"held": ["nano"], "absent": ["nano"]}, "both held and absent"),
        ({"held": ["nano", "nano"]}, "listed twice"),
        ({"held": ["nano=7"]}, "not the name"),
        ({"upgrades": "some"}, "security"),
        ({"update": "often"}, "not a duration"),
        ({"presents": ["git"]}, "Extra inputs"),
    ],
)
def test_what_is_no_package_is_refused_with_a_word(written: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)
