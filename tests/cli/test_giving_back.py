"""What becomes of entries of the ledger, with real files: removed, given back, or left where somebody changed them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.giving_back import complaints, counts, give_back, give_back_one, plan_uninstall, stays
from agent.deploys.kind import kind_named
from agent.domain.ownership import unseen
from agent.domain.removal import Fate
from agent.errors import DeployError
from agent.host.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    return tmp_path / "host"


def owned(ledger: Ledger, path: Path, text: str | None, kind: str = "file") -> str:
    """What the agent does to a file, in short: look, record, change, settle. Without a text it is taken away."""
    key, found = f"{kind}:{path}", kind_named(kind)
    assert found is not None
    ledger.record(key, "files", 0, found.look(f"{path}"))
    if kind == "directory":
        path.mkdir()
    elif text is None:
        path.unlink()
    else:
        path.write_text(text)
    ledger.settle(key, found.look(f"{path}"))
    return key


@dataclass(frozen=True)
class Given:
    stayed: list[str]
    failed: list[str]


def given(ledger: Ledger) -> Given:
    found = give_back(ledger.entries(), ledger, lambda _: None)
    return Given(stays(found), complaints(found))


def test_what_was_created_goes_and_what_was_adopted_is_as_it_was(ledger: Ledger, place: Path) -> None:
    (place / "theirs").write_text("theirs")
    (place / "deleted").write_text("deleted")
    for name, text in (("ours", "ours"), ("theirs", "ours"), ("deleted", None)):
        owned(ledger, place / name, text)
    told = given(ledger)
    assert (told.stayed, told.failed) == ([], [])
    assert {path.name: path.read_text() for path in place.iterdir()} == {"theirs": "theirs", "deleted": "deleted"}
    assert ledger.entries() == ()


def test_what_somebody_changed_since_stays_and_is_named(ledger: Ledger, place: Path) -> None:
    key = owned(ledger, place / "ours", "ours")
    (place / "ours").write_text("mine")
    told = given(ledger)
    assert [line.partition(": ")[0] for line in told.stayed] == [key]
    assert told.failed == []
    assert (place / "ours").read_text() == "mine"


def test_what_somebody_changed_since_it_was_adopted_is_given_back_only_by_name(ledger: Ledger, place: Path) -> None:
    for name in ("edited", "gone"):
        (place / name).write_text("theirs")
    key, gone = owned(ledger, place / "edited", "ours"), owned(ledger, place / "gone", "ours")
    ledger.release(key)
    (place / "edited").write_text("a year of edits")
    (place / "gone").unlink()
    assert given(ledger).stayed == [f"{key}: changed since: content", f"{gone}: changed since: it is gone"]
    assert (place / "edited").read_text() == "a year of edits"
    entry = ledger.entry(key)
    assert entry is not None
    give_back_one(entry, ledger)
    assert (place / "edited").read_text() == "theirs"


def test_what_a_change_that_did_not_end_well_brought_stays_but_where_nothing_was_done(
    ledger: Ledger, place: Path
) -> None:
    (place / "theirs").write_text("theirs")
    (place / "untouched").write_text("theirs")
    keys = [f"file:{place}/{name}" for name in ("made", "never", "theirs", "untouched")]
    found = kind_named("file")
    assert found is not None
    for key in keys:
        ledger.record(key, "files", 0, found.look(key.partition(":")[2]))
    (place / "made").write_text("whose?")
    (place / "theirs").write_text("whose?")
    told = given(ledger)
    reason = "the change that brought it did not end well"
    assert told.stayed == [f"{keys[0]}: {reason}", f"{keys[2]}: {reason}"]
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "made": "whose?",
        "theirs": "whose?",
        "untouched": "theirs",
    }


def test_a_file_that_a_block_made_goes_with_it(ledger: Ledger, place: Path) -> None:
    path = place / "hosts"
    block, file = f"block:{path}#lab", f"file:{path}"
    for key in (file, block):
        ledger.record(key, "files", 0, None)
    path.write_text("# BEGIN hostwright lab\n1\n# END hostwright lab\n")
    for key in (file, block):
        kind, _, name = key.partition(":")
        found = kind_named(kind)
        assert found is not None
        ledger.settle(key, found.look(name))
    told = given(ledger)
    assert (told.stayed, told.failed, path.exists()) == ([], [], False)


def test_folders_that_will_not_be_empty_are_not_promised(ledger: Ledger, place: Path) -> None:
    for name in ("a", "a/b", "c", "c/d"):
        owned(ledger, place / name, None, kind="directory")
    owned(ledger, place / "c/d/ours", "ours")
    (place / "a/b/mine").touch()
    foreseen = {each.entry.name: each.fate for each in plan_uninstall(ledger.entries())}
    assert [name for name, fate in foreseen.items() if fate is Fate.LEAVE] == [f"{place}/a", f"{place}/a/b"]
    assert len(given(ledger).stayed) == 2


def test_what_somebody_made_anew_stays(ledger: Ledger, place: Path) -> None:
    path = place / "ours"
    owned(ledger, path, "ours")
    path.unlink()
    ledger.settle(f"file:{path}", None)
    path.write_text("mine")
    assert given(ledger).stayed == [f"file:{path}: changed since: it was made anew"]
    assert path.exists()


def test_a_folder_goes_after_what_is_in_it_and_stays_with_what_is_not_ours(ledger: Ledger, place: Path) -> None:
    for name in ("empty", "used"):
        owned(ledger, place / name, None, kind="directory")
        owned(ledger, place / name / "ours", "ours")
    (place / "used/mine").touch()
    told = given(ledger)
    assert sorted(path.name for path in place.rglob("*")) == ["mine", "used"]
    assert len(told.stayed) == 1
    assert f"directory:{place}/used" in told.stayed[0]


def test_what_cannot_be_given_back_is_named_and_keeps_its_entry_and_no_other(ledger: Ledger, place: Path) -> None:
    hidden = f"file:{place}/hidden"
    ledger.record(hidden, "files", 0, unseen("its disk was gone"))
    ledger.settle(hidden, None)
    owned(ledger, place / "ours", "ours")
    told = given(ledger)
    assert [line.partition(": ")[0] for line in told.failed] == [hidden]
    assert "its disk was gone" in told.failed[0]
    assert [entry.key for entry in ledger.entries()] == [hidden]


def test_looking_ahead_changes_nothing_and_counts(ledger: Ledger, place: Path) -> None:
    (place / "theirs").write_text("theirs")
    for name in ("one", "two", "theirs", "changed"):
        owned(ledger, place / name, "ours")
    (place / "changed").write_text("mine")
    foreseen = plan_uninstall(ledger.entries())
    assert sorted(each.fate for each in foreseen) == [Fate.LEAVE, Fate.REMOVE, Fate.REMOVE, Fate.RESTORE]
    assert counts(foreseen) == ["removed: 2 files", "given back: 1 file", "left as they are: 1 file"]
    assert len(list(place.iterdir())) == 4


def test_one_that_a_person_names_goes_whoever_changed_it(ledger: Ledger, place: Path) -> None:
    key = owned(ledger, place / "ours", "ours")
    (place / "ours").write_text("mine")
    entry = ledger.entry(key)
    assert entry is not None
    give_back_one(entry, ledger)
    assert not (place / "ours").exists()
    assert ledger.entry(key) is None


def test_one_that_has_to_stay_says_why_and_is_not_forgotten(ledger: Ledger, place: Path) -> None:
    key = owned(ledger, place / "used", None, kind="directory")
    (place / "used/mine").touch()
    entry = ledger.entry(key)
    assert entry is not None
    with pytest.raises(DeployError, match="stays"):
        give_back_one(entry, ledger)
    assert ledger.entry(key) is not None
