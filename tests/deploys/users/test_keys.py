from __future__ import annotations

import pytest

from agent.deploys.users.keys import complaint, difference, updated

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
        (ANN.replace("ssh-ed25519", "ssh-rsa"), "differ"),
        (f"{ANN}\n{DESK}", "one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
    ],
)
def test_anything_else_is_named(line: str, why: str) -> None:
    assert why in complaint(line)


def test_keys_are_appended_and_other_lines_stay() -> None:
    assert updated("# mine\n", [ANN, DESK], exclusive=False) == f"# mine\n{ANN}\n{DESK}\n"


def test_adding_twice_is_adding_once() -> None:
    once = updated(f"{DESK}\n", [ANN], exclusive=False)
    assert updated(once, [ANN], exclusive=False) == once


def test_the_same_key_with_other_options_gives_way_in_its_place() -> None:
    assert updated(f"{ANN}\n{DESK}\n", [RESTRICTED], exclusive=False) == f"{RESTRICTED}\n{DESK}\n"


def test_a_key_is_there_once() -> None:
    assert updated(f"{ANN}\n{ANN} again\n", [ANN], exclusive=False) == f"{ANN}\n"


def test_a_key_that_is_commented_out_is_not_there() -> None:
    assert updated(f"# {ANN}\n", [ANN], exclusive=False) == f"# {ANN}\n{ANN}\n"


def test_exclusive_keys_are_alone() -> None:
    assert updated(f"# mine\n{DESK}\n\n{ANN}\n", [ANN], exclusive=True) == f"{ANN}\n"
    assert updated(f"{DESK}\n", [], exclusive=True) == ""


def test_a_difference_is_counted_in_lines() -> None:
    assert difference(f"{DESK}\n# x\n", f"{DESK}\n{ANN}\n") == (1, 1)
