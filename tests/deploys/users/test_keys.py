from __future__ import annotations

import pytest

from agent.deploys.users.ssh_folder import count_keys, updated_keys
from agent.system.public_keys import complaint

ANN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILxJcQw5PeuLwEp5M4ChpAh34t4Ndc2IhypPrfCR85Fh ann@laptop"
DESK = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGMZQeihlGbQPVieSU"
    "wQAgXRqdZnxdkJq+HyMJRzgvZxBpiXWCFAPFWyx5+x27Wsc8s0Aazf02k8IJyTTtxSlxg= ann@desk top"
)
RESTRICTED = f'restrict,command="/bin/backup --now" {ANN}'


@pytest.mark.parametrize("line", [ANN, DESK, RESTRICTED, f"cert-authority {DESK}"])
def test_a_public_key_is_taken_with_and_without_options(line: str) -> None:
    assert complaint(line) == ""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no type"),
        ("ann@laptop", "no type"),
        (ANN[:40], "cut off"),
        (ANN[:32], "cut off"),  # exactly behind the type that the key itself names
        (ANN.replace("ssh-ed25519", "ssh-rsa"), "differ"),
        (f"{ANN}\n{DESK}", "one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
    ],
)
def test_anything_else_is_named(line: str, why: str) -> None:
    assert why in complaint(line)


def block(*lines: str) -> str:
    return "".join(f"{line}\n" for line in ("# BEGIN hostwright keys", *lines, "# END hostwright keys"))


def test_keys_stand_in_a_block_and_other_lines_stay() -> None:
    assert updated_keys("# mine\n", [ANN, DESK], exclusive=False) == f"# mine\n{block(ANN, DESK)}"


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("text", ["", f"{DESK}\n", f"{ANN}", f"{RESTRICTED}\n{DESK}", f"# x\n{block(DESK)}{ANN}\n"])
def test_adding_twice_is_adding_once(text: str, exclusive: bool) -> None:
    once = updated_keys(text, [ANN], exclusive=exclusive)
    assert updated_keys(once, [ANN], exclusive=exclusive) == once


def test_a_key_that_leaves_git_leaves_the_file_and_the_others_stay_in_their_place() -> None:
    assert (
        updated_keys(f"# mine\n{block(ANN, DESK)}# end\n", [DESK], exclusive=False) == f"# mine\n{block(DESK)}# end\n"
    )


def test_the_last_key_takes_the_block_along() -> None:
    assert updated_keys(f"# mine\n{block(ANN)}", [], exclusive=False) == "# mine\n"
    assert updated_keys(block(ANN), [], exclusive=False) == ""


@pytest.mark.parametrize("text", ["", "# mine", f"{ANN}\n\n", f"{DESK}\n{ANN}"])
def test_without_keys_and_block_nothing_is_touched(text: str) -> None:
    assert updated_keys(text, [], exclusive=False) == text


@pytest.mark.parametrize("text", [f"{ANN} again\n{ANN}\n", f"{DESK}\n  {ANN}", f"{ANN}\r\n"])
def test_a_key_that_a_person_put_there_counts_and_stays_theirs(text: str) -> None:
    assert updated_keys(text, [ANN], exclusive=False) == text
    assert updated_keys(updated_keys(text, [ANN], exclusive=False), [], exclusive=False) == text


def test_a_key_that_a_person_puts_beside_the_block_leaves_the_block() -> None:
    assert updated_keys(f"{ANN}\n{block(ANN, DESK)}", [ANN, DESK], exclusive=False) == f"{ANN}\n{block(DESK)}"


@pytest.mark.parametrize(("theirs", "wanted"), [(ANN, RESTRICTED), (RESTRICTED, ANN)])
def test_a_persons_line_with_the_key_and_other_options_gives_way(theirs: str, wanted: str) -> None:
    assert updated_keys(f"{theirs}\n{DESK}\n", [wanted], exclusive=False) == f"{DESK}\n{block(wanted)}"


def test_a_line_that_allows_more_gives_way_even_beside_one_that_is_right() -> None:
    assert updated_keys(f"{ANN}\n{RESTRICTED}\n", [RESTRICTED], exclusive=False) == f"{RESTRICTED}\n"


def test_other_options_of_a_key_in_the_block_replace_it_there() -> None:
    assert updated_keys(f"{block(ANN)}{DESK}\n", [RESTRICTED], exclusive=False) == f"{block(RESTRICTED)}{DESK}\n"


@pytest.mark.parametrize(
    "by_hand",
    [block(), block(ANN, DESK), block(f"#{ANN}"), block(f"{ANN} x"), f"{block(ANN)}{block(DESK)}"],
)
def test_a_block_that_was_edited_is_repaired(by_hand: str) -> None:
    assert updated_keys(f"# mine\n{by_hand}", [ANN], exclusive=False) == f"# mine\n{block(ANN)}"


@pytest.mark.parametrize("torn", [f"# BEGIN hostwright keys\n{ANN}\n", f"{ANN}\n# END hostwright keys\n"])
def test_keys_of_a_block_that_lost_a_marker_are_the_agents_again(torn: str) -> None:
    assert updated_keys(f"{torn}{DESK}\n", [ANN], exclusive=False).replace(block(ANN), "") == f"{DESK}\n"


def test_a_key_that_is_commented_out_is_not_there() -> None:
    assert updated_keys(f"# {ANN}\n", [ANN], exclusive=False) == f"# {ANN}\n{block(ANN)}"


def test_exclusive_keys_are_alone() -> None:
    assert updated_keys(f"# mine\n{DESK}\n\n{ANN}\n", [ANN], exclusive=True) == block(ANN)
    assert updated_keys(f"{DESK}\n{block(ANN)}", [], exclusive=True) == ""


def test_a_difference_is_counted_in_keys() -> None:
    assert count_keys(f"{DESK}\n# x\n{RESTRICTED}\n", f"{DESK}\n{block(ANN)}") == (1, 1)
    assert count_keys(f"{ANN}\n", block(ANN)) == (0, 0)
