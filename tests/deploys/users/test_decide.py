from __future__ import annotations

from typing import Any

import pytest

from agent.deploys.users.accounts import ShadowCommand, parsed
from agent.deploys.users.decide import UserDifference, account_difference, group_difference
from agent.deploys.users.wanted import WantedAccount, WantedGroup
from agent.errors import DeployError
from tests.deploys.users.host_files import GROUP, PASSWD, SHADOW

FOUND = parsed(PASSWD, GROUP, SHADOW)
PATHS = {"/bin/bash", "/bin/sh", "/bin/zsh", "/home/ann", "/home/eve"}
HASH = "$6$new$hash"


def account(
    name: str, *, made: dict[str, WantedGroup] | None = None, given: frozenset[str] = frozenset(), **wanted: Any
) -> UserDifference:
    """``made``: the groups of the same deploy; ``given``: those that the agent once added it to."""
    return account_difference(
        FOUND, name, WantedAccount(**wanted), groups=made or {}, given=given, exists=PATHS.__contains__
    )


def commands(difference: UserDifference) -> list[str]:
    return [" ".join(command.argv) for command in difference.commands]


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        ({}, "useradd --create-home -- bob"),
        (
            {"uid": 1300, "groups": ["dev", "audio"], "shell": "/bin/zsh", "home": "/srv/bob", "comment": "Bob B"},
            "useradd --uid=1300 --home-dir=/srv/bob --shell=/bin/zsh --comment=Bob B --groups=dev,audio"
            " --create-home -- bob",
        ),
        ({"group": "dev"}, "useradd --gid=dev --create-home -- bob"),
        ({"system": True}, "useradd --system --no-create-home -- bob"),
    ],
)
def test_a_missing_account_is_created_at_once(wanted: dict[str, Any], command: str) -> None:
    assert commands(account("bob", **wanted)) == [command]


def test_a_new_account_joins_the_group_of_its_name_that_is_there_or_just_made() -> None:
    found = parsed(PASSWD, f"{GROUP}bob:x:1300:\n", SHADOW)
    there = account_difference(found, "bob", WantedAccount(), groups={}, given=(), exists=PATHS.__contains__)
    assert commands(there) == ["useradd --gid=bob --create-home -- bob"]
    assert commands(account("bob", made={"bob": WantedGroup(gid=1300)})) == commands(there)
    assert commands(account("bob", made={"bob": WantedGroup(absent=True)})) == ["useradd --create-home -- bob"]


def test_a_password_goes_in_by_stdin_and_is_not_shown() -> None:
    difference = account("bob", password_hash=HASH)
    assert difference.commands[1] == ShadowCommand(("chpasswd", "--encrypted"), f"bob:{HASH}\n".encode())
    assert HASH not in repr(difference)


def test_an_account_as_wanted_needs_nothing() -> None:
    wanted = {"uid": 1201, "group": "ann", "groups": ["dev"], "shell": "/bin/bash", "home": "/home/ann"}
    assert account("ann", **wanted, comment="Ann", locked=False, password_hash="$6$salt$hash") == UserDifference()
    assert account("ann") == UserDifference()


def test_what_differs_changes_in_one_command() -> None:
    difference = account("ann", uid=1301, shell="/bin/zsh", comment="")
    assert commands(difference) == ["usermod --uid=1301 --comment= --shell=/bin/zsh -- ann"]
    assert difference.words == ("set uid 1301", "set comment ", "set shell /bin/zsh")
    assert "+shell: /bin/zsh" in difference.lines


def test_a_home_moves_along_only_where_nothing_is_in_its_way() -> None:
    assert commands(account("ann", home="/srv/ann")) == ["usermod --home=/srv/ann --move-home -- ann"]
    assert commands(account("ann", home="/home/eve")) == ["usermod --home=/home/eve -- ann"]


def test_groups_are_added_and_others_stay() -> None:
    difference = account("eve", groups=["audio", "dev"])
    assert commands(difference) == ["usermod --append --groups=audio -- eve"]
    assert difference.joins == ("audio",), "only this one is the agent's doing"


def test_a_new_account_owes_all_its_groups_to_the_agent() -> None:
    assert account("bob", groups=("dev", "audio")).joins == ("dev", "audio")


def test_a_group_that_the_agent_gave_and_nobody_wants_is_taken_away() -> None:
    difference = account("ann", groups=["dev"], given=frozenset({"audio", "dev"}))
    assert commands(difference) == ["gpasswd --delete=ann -- audio"]
    assert (difference.words, difference.lines) == (("remove from audio",), ("-group: audio",))


def test_a_group_that_a_person_gave_stays() -> None:
    assert account("ann", given=frozenset({"dev"}), groups=["dev"]) == UserDifference()


def test_a_group_that_was_taken_away_by_hand_is_not_taken_away_again() -> None:
    assert account("eve", given=frozenset({"audio", "gone"})) == UserDifference()


def test_what_is_taken_away_goes_before_what_may_fail() -> None:
    difference = account("ann", groups=["dev"], given=frozenset({"audio"}), uid=1301)
    assert commands(difference) == ["gpasswd --delete=ann -- audio", "usermod --uid=1301 -- ann"]


def test_exclusive_groups_take_the_others_away() -> None:
    difference = account("ann", groups=["dev"], exclusive_groups=True)
    assert commands(difference) == ["gpasswd --delete=ann -- audio"]
    assert difference.words == ("remove from audio",)


def test_exclusive_groups_are_joined_too() -> None:
    assert commands(account("eve", groups=["audio"], exclusive_groups=True)) == [
        "gpasswd --delete=eve -- dev",
        "usermod --append --groups=audio -- eve",
    ]


def test_a_primary_group_counts_as_membership() -> None:
    assert account("ann", groups=["ann"]) == UserDifference()


def test_a_lock_keeps_keys_out_too_and_is_lifted_whole() -> None:
    assert commands(account("ann", locked=True)) == ["usermod --lock --expiredate=1 -- ann"]
    assert account("eve", locked=True) == UserDifference()
    assert commands(account("eve", locked=False)) == ["usermod --expiredate= --unlock -- eve"]


def test_an_account_expires_on_its_day_and_never_again_on_wish() -> None:
    assert commands(account("ann", expires="2027-03-31")) == ["usermod --expiredate=2027-03-31 -- ann"]
    assert account("ann", expires="never") == UserDifference()
    assert commands(account("eve", expires="never")) == ["usermod --expiredate= -- eve"]
    assert commands(account("bob", expires="2027-03-31")) == ["useradd --expiredate=2027-03-31 --create-home -- bob"]


def test_a_lock_is_stronger_than_the_day_on_which_an_account_expires() -> None:
    assert account("eve", locked=True, expires="2027-03-31") == UserDifference()
    unlocked = commands(account("eve", locked=False, expires="2027-03-31"))
    assert unlocked[-1] == "usermod --expiredate=2027-03-31 --unlock -- eve"


def test_a_new_password_of_a_locked_account_stays_locked() -> None:
    (command,) = account("eve", locked=True, password_hash=HASH).commands
    assert command.input == f"eve:!{HASH}\n".encode()


def test_what_cannot_be_of_an_account_keeps_nothing_else_of_it() -> None:
    difference = account("ann", uid=1202, shell="/bin/fish", groups=["docker"], given=frozenset({"audio"}), comment="A")
    assert commands(difference) == ["gpasswd --delete=ann -- audio", "usermod --comment=A -- ann"]
    assert [error.message for error in difference.refusals] == [
        "ann: there is no group docker on this host",
        "ann: there is no shell /bin/fish on this host",
        "uid 1202, wanted for ann, belongs to eve",
    ]


@pytest.mark.parametrize(
    ("name", "wanted", "complaint"),
    [
        ("daemon", {"home": "/srv"}, "only shell, groups and keys"),
        ("root", {"uid": 5}, "only shell, groups and keys"),
        ("root", {"locked": True}, "only shell, groups and keys"),
        ("root", {"password_hash": HASH}, "only shell, groups and keys"),
        ("bob", {"uid": 0}, "belongs to root"),
        ("bob", {"groups": ["docker"]}, "no group docker"),
        ("bob", {"group": "docker"}, "no group docker"),
        ("bob", {"shell": "/bin/fish"}, "no shell /bin/fish"),
    ],
)
def test_what_must_not_or_cannot_yet_be_done_is_named(name: str, wanted: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DeployError, match=complaint):
        account(name, **wanted)


def test_a_system_account_may_get_a_shell_and_groups() -> None:
    assert commands(account("daemon", shell="/bin/sh", groups=["dev"])) == [
        "usermod --shell=/bin/sh --append --groups=dev -- daemon"
    ]


def test_a_group_that_the_same_deploy_makes_counts_as_there() -> None:
    difference = account("eve", made={"ops": WantedGroup()}, groups=["ops"])
    assert commands(difference) == ["usermod --append --groups=ops -- eve"]
    (refused,) = account("eve", made={"dev": WantedGroup(absent=True)}, group="dev").refusals
    assert refused.message == "eve: there is no group dev on this host"


@pytest.mark.parametrize(
    ("name", "wanted", "command"),
    [
        ("ops", {}, ["groupadd -- ops"]),
        ("ops", {"gid": 1300, "system": True}, ["groupadd --gid=1300 --system -- ops"]),
        ("dev", {}, []),
        ("dev", {"gid": 1200}, []),
        ("dev", {"gid": 1300}, ["groupmod --gid=1300 -- dev"]),
    ],
)
def test_groups_are_made_and_changed(name: str, wanted: dict[str, Any], command: list[str]) -> None:
    assert commands(group_difference(FOUND, name, WantedGroup(**wanted))) == command


def test_a_group_that_is_there_is_to_be_deleted() -> None:
    assert group_difference(FOUND, "dev", WantedGroup(absent=True)).words == ("delete",)
    assert group_difference(FOUND, "ops", WantedGroup(absent=True)) == UserDifference()


@pytest.mark.parametrize(
    ("name", "wanted", "complaint"),
    [
        ("audio", {"absent": True}, "system group"),
        ("audio", {"gid": 1300}, "system group"),
        ("ops", {"gid": 1200}, "belongs to dev"),
    ],
)
def test_system_groups_and_taken_numbers_are_left(name: str, wanted: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DeployError, match=complaint):
        group_difference(FOUND, name, WantedGroup(**wanted))
