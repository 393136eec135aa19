"""Entries of a file like /etc/hosts: one line is the agent's, all others stay byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploys.hosts.line import AddressEdit, HostsLine, canonical
from agent.deploys.items import Item
from agent.domain.ownership import LedgerEntry, Origin, Seen
from agent.errors import DeployError
from tests.deploys.trees import ME, converge, plan

DB = "192.0.2.10"
EDIT = AddressEdit(DB, ("db1.example.org", "db1"))
LINE = f"{DB} db1.example.org db1"

LINES = [
    "127.0.0.1 localhost",
    "# 192.0.2.10 old",
    "192.0.2.100 x",
    DB,
    f"\t{DB}\tdb1 # mine",
    f"{LINE}#ours",
    "",
    "\f",
]
TEXTS = st.lists(st.sampled_from([*LINES, *(f"{line}\r" for line in LINES)])).map("\n".join)


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    return tmp_path / "hosts"


def entry(hosts: Path, names: str = "db1.example.org db1", address: str = DB) -> Item:
    return Item(kind="hosts", path=f"{hosts}", part=address, text=names, **ME)  # type: ignore[arg-type]


def in_ledger(hosts: Path, *, before: Seen | None = None, left: Seen | None = None) -> LedgerEntry:
    states = [seen.state if seen is not None else None for seen in (before, left)]
    origin = Origin.ADOPTED if before is not None else Origin.CREATED
    return LedgerEntry(f"hosts:{hosts}#{DB}", "hosts", 0, origin, *states, settled=True)


def look(hosts: Path) -> Seen | None:
    return HostsLine().look(f"{hosts}#{DB}")


def others(text: str) -> list[str]:
    """Lines of other addresses, and comments, with all that belongs to them."""
    return [line for line in text.split("\n") if not re.match(rf"\s*{re.escape(DB)}\s*(\s\S|$)", line)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{LINE}\n"),
        ("127.0.0.1 localhost\n", f"127.0.0.1 localhost\n{LINE}\n"),
        ("127.0.0.1 localhost\r\n", f"127.0.0.1 localhost\r\n{LINE}\r\n"),
        ("a\nb", f"a\n{LINE}\nb"),
        ("a\r\nb\r", f"a\r\n{LINE}\r\nb\r"),
        (f"{DB} db2\nb", f"{LINE}\nb"),
        (f"a\n{DB} db2", f"a\n{LINE}"),
        (f"{DB} db2\r\n", f"{LINE}\r\n"),
        (f"{DB} db2  # rack 7\n", f"{LINE}  # rack 7\n"),
        (f"{DB} # db1.example.org db1\n", f"{LINE} # db1.example.org db1\n"),
        (f"{DB}#db2\n", f"{LINE}#db2\n"),
        (f"{DB} db1 db1.example.org\n", f"{LINE}\n"),
        (f"{DB} db2\nb\n{LINE}\n {DB} db3 # c\n", f"{LINE}\nb\n"),
        (f"192.0.2.100 x\n#{DB} x\n", f"192.0.2.100 x\n#{DB} x\n{LINE}\n"),
        ("\udcff\x0c \n", f"\udcff\x0c \n{LINE}\n"),
    ],
)
def test_lines_of_the_address_become_one_and_all_else_stays_byte_for_byte(before: str, after: str) -> None:
    assert EDIT.apply(before) == after


@pytest.mark.parametrize("line", [LINE, f"\t{DB}\t\tdb1.example.org  db1 \t# rack 7", f"{LINE}#7", f"{LINE}\r"])
def test_a_line_that_says_the_same_stays_as_it_is(line: str) -> None:
    assert EDIT.apply(f"a\n{line}\nb") == f"a\n{line}\nb"


@given(TEXTS)
def test_any_other_line_stays_and_a_second_time_changes_nothing(text: str) -> None:
    after = EDIT.apply(text)
    assert others(after) == others(text)
    assert EDIT.apply(after) == after


@given(TEXTS)
def test_without_the_line_a_text_that_had_none_is_as_before(text: str) -> None:
    before = EDIT.without(text)
    assert EDIT.without(EDIT.apply(before)) == before


@given(TEXTS)
def test_lines_from_before_are_put_back_where_they_were(text: str) -> None:
    at = EDIT.numbers(text.split("\n"))
    for now in filter(None, (EDIT.apply(text), EDIT.without(text)) if at else ()):
        assert EDIT.put_back(EDIT.found(text), at, now) == text


@pytest.mark.parametrize(
    ("now", "after"),
    [
        (f"# new\na\nb\n{LINE}\n", f"# new\na\nb\n{DB} db7\n"),
        (f"{LINE}\na\n", f"{DB} db7\na\n"),
        ("a\n", f"a\n{DB} db7\n"),
        ("a\nb\nc\n", f"a\nb\n{DB} db7\nc\n"),
    ],
)
def test_a_line_from_before_is_put_back_into_a_file_that_has_changed(now: str, after: str) -> None:
    assert EDIT.put_back(f"{DB} db7\n", [2], now) == after


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("2001:DB8:0::10", "2001:db8::10"),
        ("::ffff:192.0.2.10", DB),
        (DB, DB),
        ("192.0.2.010", ""),
        ("192.0.2.0/24", ""),
        ("3221225994", ""),
        ("fe80::1%eth0", ""),
        ("fe80::1%\n127.0.0.1 x", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_form(written: str, address: str) -> None:
    assert canonical(written) == address


def test_an_address_of_the_file_counts_in_its_canonical_form() -> None:
    edit = AddressEdit("2001:db8::10", ("db1",))
    assert edit.apply("2001:0DB8::10 db2\n2001:db8::1 x\n") == "2001:db8::10 db1\n2001:db8::1 x\n"


def test_entries_of_one_file_come_stay_and_are_repaired(hosts: Path) -> None:
    hosts.write_text("127.0.0.1\tlocalhost\n")
    wanted = [entry(hosts), entry(hosts, "db2", "2001:db8::10")]
    changes = [step.change for step in converge(*wanted)]
    assert [change.operation for change in changes] == [f"edit {DB}", "edit 2001:db8::10"]
    assert f"+{LINE}" in changes[0].diff
    assert hosts.read_text() == f"127.0.0.1\tlocalhost\n{LINE}\n2001:db8::10 db2\n"
    hosts.write_text(f"{DB} evil\n")
    assert len(converge(*wanted)) == 2
    hosts.unlink()
    assert converge(*wanted)[0].change.operation == f"create file with {DB}"


def test_a_link_in_its_place_is_refused(hosts: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs\n")
    hosts.symlink_to("theirs")
    (step,) = plan(entry(hosts))
    assert step.change.refused
    assert (tmp_path / "theirs").read_text() == "theirs\n"


def test_one_that_left_git_goes_and_the_file_is_as_before(hosts: Path) -> None:
    before = b"127.0.0.1 localhost # \xff\r\n::1 localhost"
    hosts.write_bytes(before)
    assert look(hosts) is None
    converge(entry(hosts))
    assert HostsLine().remove([in_ledger(hosts, left=look(hosts))], purge=False) == {}
    assert hosts.read_bytes() == before


@pytest.mark.parametrize("by_hand", [f"{DB} db7\n", f"{LINE} # mine\n", f"{LINE}\n{DB} db7\n"])
def test_one_that_somebody_changed_since_stays(hosts: Path, by_hand: str) -> None:
    converge(entry(hosts))
    left = in_ledger(hosts, left=look(hosts))
    hosts.write_text(by_hand)
    assert HostsLine().remove([left], purge=False) == {left.key: "changed since: content"}
    assert hosts.read_text() == by_hand


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_that_were_there_before_come_back_byte_for_byte(hosts: Path, end: str) -> None:
    before = f"a\n\t{DB} db7 # theirs\nb\n{DB}\tdb8{end}".encode()
    hosts.write_bytes(before)
    seen = look(hosts)
    assert seen is not None
    converge(entry(hosts))
    assert hosts.read_bytes() != before
    HostsLine().restore(in_ledger(hosts, before=seen), seen.image)
    assert hosts.read_bytes() == before


def test_lines_that_were_not_kept_cannot_come_back(hosts: Path) -> None:
    converge(entry(hosts))
    with pytest.raises(DeployError, match="were not kept"):
        HostsLine().restore(in_ledger(hosts, before=look(hosts)), None)


def test_a_list_of_names_to_block_is_nobodys_entry(hosts: Path) -> None:
    text = f"{DB} ads.example\n" * 1001
    hosts.write_text(text)
    with pytest.raises(DeployError, match="1001 lines have the address"):
        plan(entry(hosts))
    assert hosts.read_text() == text
