"""A secret in a line or a block of a file: who may read that file, and what is said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.correction import Correction
from agent.deploys.tree import corrections
from agent.errors import DeployError
from agent.inventory.complaint import ComplaintsError
from tests.deploys.trees import as_root
from tests.secrets.conftest import Desk

LINES = {"lines": {"pw": {"line": "password={{ secret('web/db') }}", "match": "^password="}, "port": "port=1"}}
BLOCK = {"block": "[db]\npassword={{ secret('web/db') }}\n"}
FORMS = pytest.mark.parametrize(("form", "count"), [(LINES, 2), (BLOCK, 1)], ids=["lines", "block"])


@pytest.fixture(autouse=True)
def secrets(desk: Desk) -> None:
    desk.store.write("web/db", b"first-of-two\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.conf"


def due(desk: Desk, file: Path, form: object) -> Sequence[Correction]:
    return corrections(wanted(desk, {f"{file}": form}), desk.repo)


def wanted(desk: Desk, files: dict[str, object]) -> dict[str, Any]:
    """What the deploy ``files`` gets."""
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": files}]}]))
    arguments: dict[str, Any] = desk.values()["files"]
    return arguments


def carry_out(found: Sequence[Correction]) -> None:
    for each in found:
        each.allowed = True
    for each in found:
        each.run()


@FORMS
def test_it_is_written_replaced_and_never_told(desk: Desk, file: Path, form: object, count: int) -> None:
    file.write_text("mine=1\n")
    file.chmod(0o640)
    for value in ("first-of-two", "second-of-two"):
        desk.store.write("web/db", value.encode())
        found = due(desk, file, form)
        told = [(each.change.diff, each.change.private, each.change.refused) for each in found]
        assert told == [(None, True, False)] * len(found)
        assert "of-two" not in f"{[(each.change.resource, each.change.operation) for each in found]}"
        carry_out(found)
        assert file.read_text().count("of-two") == 1
        assert file.read_text().startswith("mine=1\n")
        assert f"password={value}\n" in file.read_text()
        assert (file.stat().st_mode & 0o777, not due(desk, file, form)) == (0o640, True)


@FORMS
def test_a_file_that_is_not_there_is_made_for_its_owner_alone(desk: Desk, file: Path, form: object, count: int) -> None:
    found = due(desk, file, form)
    assert len(found) == count
    carry_out(found)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "password=first-of-two\n" in file.read_text()


@FORMS
@pytest.mark.parametrize("mode", [0o644, 0o602, 0o751])
def test_a_file_that_others_may_read_does_not_get_it(
    desk: Desk, file: Path, form: object, count: int, mode: int
) -> None:
    file.write_text("mine=1\n")
    file.chmod(mode)
    found = due(desk, file, form)
    assert [each.change.refused for each in found] == [True] * count
    assert f"others may read it (mode {mode:04o})" in found[0].change.operation
    with pytest.raises(DeployError, match="others may read it"):
        carry_out(found)
    assert file.read_text() == "mine=1\n"


@FORMS
def test_a_file_that_others_may_read_since_is_told(desk: Desk, file: Path, form: object, count: int) -> None:
    carry_out(due(desk, file, form))
    file.chmod(0o644)
    assert [each.change.refused for each in due(desk, file, form)] == [True] * count


def test_a_file_that_is_opened_between_plan_and_apply_does_not_get_it(desk: Desk, file: Path) -> None:
    file.write_text("mine=1\n")
    file.chmod(0o600)
    found = due(desk, file, BLOCK)
    file.chmod(0o644)
    with pytest.raises(DeployError, match="others may read it"):
        carry_out(found)
    assert file.read_text() == "mine=1\n"


@as_root
@FORMS
@pytest.mark.parametrize(
    ("folder_mode", "folder_owner", "file_owner", "why"),
    [
        (0o755, 1234, 0, "belongs to uid 1234"),
        (0o755, 1234, None, "belongs to uid 1234"),
        (0o755, 0, 1234, "it belongs to uid 1234"),
        (0o1777, 0, 0, "can be written by a group or by all (mode 1777)"),
        (0o1777, 0, None, "can be written by a group or by all (mode 1777)"),
        (0o775, 0, 0, "can be written by a group or by all (mode 0775)"),
    ],
)
def test_a_file_that_somebody_else_may_have_put_there_does_not_get_it(
    desk: Desk,
    file: Path,
    form: object,
    count: int,
    folder_mode: int,
    folder_owner: int,
    file_owner: int | None,
    why: str,
) -> None:
    file = file.parent / "app" / "app.conf"
    file.parent.mkdir()
    file.parent.chmod(folder_mode)
    os.chown(file.parent, folder_owner, folder_owner)
    if file_owner is not None:
        file.write_text("mine=1\n")
        file.chmod(0o600)
        os.chown(file, file_owner, file_owner)
    found = due(desk, file, form)
    assert [each.change.refused for each in found] == [True] * count
    assert why in found[0].change.operation
    with pytest.raises(DeployError, match="a part of it is secret"):
        carry_out(found)
    assert file.exists() is (file_owner is not None)
    assert file_owner is None or file.read_text() == "mine=1\n"


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ({"owner": "app"}, "/srv/app/app.conf"),
        ({"owner": "app"}, "/srv/app/deep/app.conf"),
        ({"mode": "1777"}, "/srv/app/app.conf"),
    ],
)
def test_check_complains_of_a_folder_that_is_to_be_somebody_elses(
    desk: Desk, folder: dict[str, str], path: str
) -> None:
    with pytest.raises(ComplaintsError, match="secret, and others than root may write to /srv/app"):
        wanted(desk, {"/srv/app": {"directory": True, **folder}, path: BLOCK})


def test_check_takes_a_folder_of_roots(desk: Desk) -> None:
    folders = {"/srv": {"directory": True, "mode": "1777"}, "/srv/app": {"directory": True, "group": "app"}}
    assert len(wanted(desk, {**folders, "/srv/app/app.conf": BLOCK})["items"]) == 3


@as_root
def test_a_file_that_changes_hands_between_plan_and_apply_does_not_get_it(desk: Desk, file: Path) -> None:
    file.write_text("mine=1\n")
    file.chmod(0o600)
    found = due(desk, file, BLOCK)
    os.chown(file, 1234, 1234)
    with pytest.raises(DeployError, match="it belongs to uid 1234"):
        carry_out(found)
    assert file.read_text() == "mine=1\n"


def test_a_value_of_several_lines_is_no_line(desk: Desk, file: Path) -> None:
    desk.store.write("web/db", b"first\nroot=yes")
    assert [each.change.refused for each in due(desk, file, LINES)] == [True, False]


@pytest.mark.parametrize("marker", ["# END hostwright managed", "; BEGIN hostwright other"])
def test_a_value_with_a_marker_of_a_block_is_not_written(desk: Desk, file: Path, marker: str) -> None:
    desk.store.write("web/db", f"first\n{marker}\nlast".encode())
    (found,) = due(desk, file, BLOCK)
    assert found.change.refused
    assert "a line of it is a marker of a block" in found.change.operation
    with pytest.raises(DeployError, match="marker of a block"):
        carry_out([found])
    assert not file.exists()


PLAIN = {"line": "port=1"}
OTHER = {"block": "{{ secret('web/db') }}\n", "name": "other"}


@pytest.mark.parametrize(("first", "second"), [(PLAIN, BLOCK), (BLOCK, PLAIN), (OTHER, BLOCK)])
def test_parts_of_a_file_with_a_secret_are_for_one_deploy(desk: Desk, first: object, second: object) -> None:
    deploys = [
        {"name": name, "deploy": "files", "with": {"/etc/app": form}} for name, form in (("a", first), ("b", second))
    ]
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": deploys}]))
    complaint = desk.complaint()
    assert 'is wanted differently by "a"' in complaint
    assert "write all lines and blocks of a file with a secret in one deploy" in complaint


def test_an_edit_of_a_private_file_shows_none_of_the_lines_beside_it(desk: Desk, file: Path) -> None:
    file.write_text("password=of-another-deploy\nport=1\n")
    file.chmod(0o640)
    (found,) = due(desk, file, {"line": "port=2", "match": "^port="})
    assert f"{found.change.diff}".splitlines()[2:] == ["@@ -2 +2 @@", "-port=1", "+port=2"]
    file.chmod(0o644)
    (found,) = due(desk, file, {"line": "port=2", "match": "^port="})
    assert " password=of-another-deploy" in f"{found.change.diff}".splitlines()
