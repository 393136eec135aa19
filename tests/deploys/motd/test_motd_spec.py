from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.motd.spec import MotdSpec
from agent.errors import InventoryError
from tests.deploys.commit import Commit


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    return Commit(
        tmp_path, {"motd.j2": "{{ inventory_hostname }} at {{ site }}\n"}, inventory_hostname="web1", site="a"
    )


def spec(written: Any) -> MotdSpec:
    return MotdSpec.model_validate(MotdSpec.from_short({} if written is None else written))


def said(written: Any, commit: Commit) -> str:
    (item,) = spec(written).concrete(commit).arguments["items"]  # type: ignore[misc, union-attr]
    assert isinstance(item, dict)
    assert (item["kind"], item["path"], item["mode"]) == ("file", "/etc/motd", 0o644)
    return str(item["text"])


def test_by_itself_it_names_the_host_and_the_folder_to_edit(commit: Commit) -> None:
    assert said(None, commit) == (
        "web1 is managed by Hostwright. What is changed here by hand is put back.\n"
        "To change this host, edit inventories/lab/ in its config repo.\n"
    )


def test_a_text_ends_with_a_newline(commit: Commit) -> None:
    assert said("hello", commit) == said({"text": "hello\n"}, commit) == "hello\n"


def test_an_empty_text_is_an_empty_file(commit: Commit) -> None:
    assert said("", commit) == ""


def test_a_template_is_rendered_over_the_hosts_values(commit: Commit) -> None:
    assert said({"template": "motd.j2"}, commit) == "web1 at a\n"


def test_a_template_that_is_not_there_is_named(commit: Commit) -> None:
    with pytest.raises(InventoryError, match=r"there is no file motd.txt"):
        said({"template": "motd.txt"}, commit)


def test_text_and_template_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="either `text` or `template`"):
        spec({"text": "a", "template": "b"})


def test_a_later_play_replaces_what_it_says_and_nothing_where_it_says_nothing() -> None:
    assert spec("a").merged(spec({"template": "b"})) == spec({"template": "b"})
    assert spec("a").merged(spec(None)) == spec("a")
