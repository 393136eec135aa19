"""A program is asked before new content is put in place: nothing that it refuses ever lies there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.files.entry import FileEntry
from agent.deploys.items import Item
from agent.domain.fault import Mistake
from agent.errors import DeployError
from tests.deploys.trees import converge, edit_line, file, plan

REFUSE_BAD = (
    "sh",
    "-c",
    'grep -q bad "$1" && { echo "$1:1: a bad word: $(cat "$1")" >&2; exit 1; }; exit 0',
    "sh",
    "%s",
)


def judged(item: Item, *argv: str) -> Item:
    return replace(item, validate=argv or REFUSE_BAD)


def refusal(item: Item) -> DeployError:
    with pytest.raises(DeployError) as caught:
        converge(item)
    return caught.value


def test_what_the_program_takes_is_put_in_place(tmp_path: Path) -> None:
    converge(judged(file(tmp_path / "conf", "good\n")))
    assert (tmp_path / "conf").read_text() == "good\n"


@pytest.mark.parametrize("before", ["old\n", None])
def test_what_the_program_refuses_leaves_what_was_there_and_nothing_else(tmp_path: Path, before: str | None) -> None:
    conf = tmp_path / "conf"
    if before is not None:
        conf.write_text(before)
    error = refusal(replace(judged(file(conf, "bad\n")), backup=True))
    assert f"{conf}: sh refuses the new content: {conf}:1: a bad word" in error.message
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == ({"conf": before} if before else {})


def test_an_edit_is_judged_by_the_whole_file(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text("bad\n")
    assert "refuses" in refusal(judged(edit_line(conf))).message
    assert conf.read_text() == "bad\n"


def test_the_new_content_lies_beside_the_old_with_its_mode_under_a_name_that_nobody_can_guess(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    asks = ("sh", "-c", 'stat -c "%a %n" "$1" > "$2"', "sh", "%s", f"{seen}")
    converge(judged(file(tmp_path / "conf", mode=0o640), *asks))
    mode, _, name = seen.read_text().strip().partition(" ")
    assert (mode, Path(name).parent, len(Path(name).name) > 20) == ("640", tmp_path, True)


def test_of_a_file_that_others_may_not_read_no_word_is_repeated(tmp_path: Path) -> None:
    error = refusal(judged(file(tmp_path / "conf", "bad secret\n", mode=0o600)))
    assert ("secret" in f"{error.message}{error.hint}", "exit status 1" in error.message) == (False, True)


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    converge(judged(file(tmp_path / "conf"), "test", "-f", "%s", "-a", "$(reboot); x", "=", "$(reboot); x"))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(judged(file(tmp_path / "conf"), "no-such-checker", "%s"))
    assert ("no-such-checker" in error.message, "install it" in error.hint) == (True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.deploys.files.file._TIMEOUT_S", 0.2)
    assert "not done after" in refusal(judged(file(tmp_path / "conf"), "sh", "-c", "sleep 60", "%s")).message


def test_nothing_is_asked_where_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("wanted\n")
    (tmp_path / "conf").chmod(0o644)
    assert plan(judged(file(tmp_path / "conf"), "false", "%s")) == []


def test_how_a_file_is_judged_is_no_part_of_what_it_should_be(tmp_path: Path) -> None:
    item = file(tmp_path / "conf")
    assert judged(item).resource == item.resource


@pytest.mark.parametrize(
    "program", [[], ["visudo"], ["visudo", "-c"], ["%s"], "visudo -cf %s", ["visudo", "", "%s"], ["a", 1, "%s"]]
)
def test_a_program_that_cannot_be_meant_is_a_complaint(program: object) -> None:
    with pytest.raises(ValueError, match="validate"):
        FileEntry.model_validate({"content": "x", "validate": program})


@pytest.mark.parametrize("entry", [{"absent": True}, {"directory": True}, {"link": "/x"}])
def test_what_has_no_content_has_nobody_to_judge_it(entry: dict[str, object]) -> None:
    with pytest.raises((ValueError, Mistake), match="validate"):
        FileEntry.model_validate(entry | {"validate": ["true", "%s"]})
