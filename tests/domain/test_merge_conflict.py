"""Marks of a merge that needs a person."""

from __future__ import annotations

import pytest

from agent.domain.merge_conflict import whole_conflict_line

CONFLICT = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> theirs\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (CONFLICT, 1),
        (f"x\n{CONFLICT}{CONFLICT}", 2),
        ("<<<<<<< HEAD\na\n=======\nb\n", None),
        ("Title\n=======\n<<<<<<< a\n>>>>>>> b\n", None),
        (CONFLICT.replace("<<<<<<< ", "  <<<<<<< "), None),
        ("", None),
    ],
)
def test_a_conflict_has_its_three_marks_in_order(text: str, line: int | None) -> None:
    assert whole_conflict_line(text) == line


def test_many_beginnings_without_an_end_cost_no_more_than_a_look_at_each() -> None:
    assert (
        whole_conflict_line("<<<<<<< x\n" * 1_000_000) is None
    )  # hours, where each is followed to the end of the text
