"""Lines and blocks: the text after is what was wanted, and applying again changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploys.edits import Block, Line

PARTS = ["a", "#a x", "a 1", "# BEGIN hostwright b", "# END hostwright b", "", " z"]
TEXTS = st.lists(st.sampled_from([*PARTS, *(f"{part}\r" for part in PARTS)])).map("\n".join)
EDITS = st.sampled_from(
    [
        Line("a 1", None),
        Line("a 1", "^#?a "),
        Line(None, "^#?a"),
        Line("zz", "a"),
        Block("b", "one\ntwo\n"),
        Block("b", None),
        Block("b", ""),
    ]
)


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Line("x", None), "", "x\n"),
        (Line("x", None), "a", "a\nx\n"),
        (Line("x", None), "x\na\n", "x\na\n"),
        (Line("p no", "^#?p "), "a\n#p yes\nb\n", "a\np no\nb\n"),
        (Line("p no", "^#?p "), "#p yes\np maybe\n", "p no\n"),
        (Line("p no", "^#?p "), "a\n", "a\np no\n"),
        (Line("q", "^p"), "p 1\nb\np 2\n", "q\nb\n"),
        (Line(None, "^p"), "p 1\nb\np 2\n", "b\n"),
        (Line(None, "^p"), "b\n", "b\n"),
        (Line("x", None), "crlf\r\n", "crlf\r\nx\r\n"),
        (Line("x", None), "a\r\nb\r\nlf\n", "a\r\nb\r\nlf\nx\r\n"),
        (Line("x", None), "a\r\nb", "a\r\nb\r\nx\r\n"),
        (Line("x", None), "x\r\na\r\n", "x\r\na\r\n"),
        (Line("x\r", None), "x\na\n", "x\na\n"),
        (Line("p no", "^#?p .*s$"), "a\r\n#p yes\r\n", "a\r\np no\r\n"),
        (Line("p no", "^#?p "), "p no\r\nb\r\np yes\r\n", "p no\r\nb\r\n"),
        (Line("p no", "^#?p "), "#p yes\r\n", "p no\r\n"),
        (Line(None, "^p.*1$"), "p 1\r\nb\r\n", "b\r\n"),
    ],
)
def test_a_line_becomes_what_is_wanted(edit: Line, before: str, after: str) -> None:
    assert edit.apply(before) == after


BLOCK = "# BEGIN hostwright b\none\n# END hostwright b\n"


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Block("b", "one\n"), "", BLOCK),
        (Block("b", "one"), "x\n", f"x\n{BLOCK}"),
        (Block("b", "one\n"), "x\r\n", f"x\n{BLOCK}".replace("\n", "\r\n")),
        (Block("b", "one\r\n"), "x\n", f"x\n{BLOCK}"),
        (Block("b", "one\r\n"), "", BLOCK.replace("\n", "\r\n")),
        (Block("b", "one"), f"x\n{BLOCK}y\n".replace("\n", "\r\n"), f"x\n{BLOCK}y\n".replace("\n", "\r\n")),
        (Block("b", "one"), f"x\n{BLOCK}y\n", f"x\n{BLOCK}y\n"),
        (Block("b", "one"), f"x\n{BLOCK.replace('one', 'old')}y\n", f"x\n{BLOCK}y\n"),
        (Block("b", "one"), f"{BLOCK}y\n{BLOCK}", f"{BLOCK}y\n"),
        (Block("b", None), f"x\n{BLOCK}y\n", "x\ny\n"),
        (Block("b", "one", ";"), f"{BLOCK}", "; BEGIN hostwright b\none\n; END hostwright b\n"),
        (Block("c", None), f"{BLOCK}", BLOCK),
        # A marker without its partner goes; the lines beside it may be a person's, and stay.
        (Block("b", "one"), "x\n# BEGIN hostwright b\ny\n", f"x\n{BLOCK}y\n"),
        (Block("b", "one"), "x\n# END hostwright b\ny\n", f"x\n{BLOCK}y\n"),
        (Block("b", "one"), f"# BEGIN hostwright b\nx\n{BLOCK}", f"{BLOCK}x\n"),
    ],
)
def test_a_block_becomes_what_is_wanted(edit: Block, before: str, after: str) -> None:
    assert edit.apply(before) == after


@given(EDITS, TEXTS)
def test_an_edit_applied_twice_is_an_edit_applied_once(edit: Line | Block, text: str) -> None:
    once = edit.apply(text)
    assert edit.apply(once) == once


@given(st.sampled_from([Block("b", "one"), Block("b", None)]), TEXTS)
def test_a_block_never_loses_a_line_outside_of_markers(edit: Block, text: str) -> None:
    outside = [line for line in Block("b", None).apply(text).splitlines() if line]
    after = edit.apply(text).splitlines()
    assert [line for line in after if line in outside or line in ("a", "#a x", "a 1", " z")] == outside
