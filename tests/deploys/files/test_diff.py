"""A diff of a file: as difflib writes it, also where there is nothing on one side."""

from __future__ import annotations

import difflib

import pytest

from agent.deploys.correction import unified

TEXTS = ("", "a\n", "a", "a\nb\n", "a\nb", "\n\n", "a\r\nb\r\n", "c\nb\n")


@pytest.mark.parametrize("after", TEXTS)
@pytest.mark.parametrize("before", TEXTS)
def test_a_diff_is_that_of_difflib(before: str, after: str) -> None:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), "/x (found)", "/x (wanted)"
    )
    told = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    assert unified("/x", before.encode(), after.encode()) == told
