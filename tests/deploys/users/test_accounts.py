from __future__ import annotations

from agent.deploys.users.accounts import parsed
from tests.deploys.users.host_files import GROUP, PASSWD, SHADOW


def test_accounts_are_put_together_from_three_files() -> None:
    found = parsed(PASSWD, GROUP, SHADOW)
    ann = found.people["ann"]
    assert (ann.uid, ann.gid, ann.comment, ann.home, ann.shell) == (1201, 1201, "Ann", "/home/ann", "/bin/bash")
    assert ann.password == "$6$salt$hash"
    assert found.groups_of("ann") == {"dev", "audio"}
    assert found.group_name(1200) == "dev"
    assert found.group_name(4711) == "4711"


def test_system_accounts_are_those_with_low_numbers_and_nobody() -> None:
    people = parsed(PASSWD, GROUP, SHADOW).people
    assert {name for name, person in people.items() if person.is_system} == {"root", "daemon", "nobody"}


def test_an_account_is_locked_when_neither_password_nor_key_lets_in() -> None:
    people = parsed(PASSWD, GROUP, SHADOW).people
    assert not people["daemon"].locked, "no password, and a key would do"
    assert people["eve"].locked


def test_lines_that_do_not_fit_are_passed_over() -> None:
    found = parsed(f"+::::::\n{PASSWD}broken\n:x:0:0:::\n", f"+:::\n{GROUP}", "")
    assert set(found.people) == {"root", "daemon", "ann", "eve", "nobody"}
    assert found.people["ann"].password == ""


def test_a_password_is_not_shown() -> None:
    assert "hash" not in repr(parsed(PASSWD, GROUP, SHADOW).people["ann"])
