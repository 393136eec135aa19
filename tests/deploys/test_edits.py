"""Lines and blocks: the text after is what was wanted, and applying again changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploys.edits import BlockEdit, LineEdit

PARTS = ["a", "#a x", "a 1", "# BEGIN hostwright b", "# END hostwright b", "", " z"]
TEXTS = st.lists(st.sampled_from([*PARTS, *(f"{part}\r" for part in PARTS)])).map("\n".join)
EDITS = st.sampled_from(
    [
        LineEdit("a 1", None),
        LineEdit("a 1", "^#?a "),
        LineEdit(None, "^#?a"),
        LineEdit("zz", "a"),
        BlockEdit("b", "one\ntwo\n"),
        BlockEdit("b", None),
        BlockEdit("b", ""),
    ]
)


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (LineEdit("x", None), "", "x\n"),
        (LineEdit("x", None), "a", "a\nx\n"),
        (LineEdit("x", None), "x\na\n", "x\na\n"),
        (LineEdit("p no", "^#?p "), "a\n#p yes\nb\n", "a\np no\nb\n"),
        (LineEdit("p no", "^#?p "), "#p yes\np maybe\n", "p no\n"),
        (LineEdit("p no", "^#?p "), "a\n", "a\np no\n"),
        (LineEdit("q", "^p"), "p 1\nb\np 2\n", "q\nb\n"),
        (LineEdit(None, "^p"), "p 1\nb\np 2\n", "b\n"),
        (LineEdit(None, "^p"), "b\n", "b\n"),
        (LineEdit("x", None), "crlf\r\n", "crlf\r\nx\r\n"),
        (LineEdit("x", None), "a\r\nb\r\nlf\n", "a\r\nb\r\nlf\nx\r\n"),
        (LineEdit("x", None), "a\r\nb", "a\r\nb\r\nx\r\n"),
        (LineEdit("x", None), "x\r\na\r\n", "x\r\na\r\n"),
        (LineEdit("x\r", None), "x\na\n", "x\na\n"),
        (LineEdit("p no", "^#?p .*s$"), "a\r\n#p yes\r\n", "a\r\np no\r\n"),
        (LineEdit("p no", "^#?p "), "p no\r\nb\r\np yes\r\n", "p no\r\nb\r\n"),
        (LineEdit("p no", "^#?p "), "#p yes\r\n", "p no\r\n"),
        (LineEdit(None, "^p.*1$"), "p 1\r\nb\r\n", "b\r\n"),
    ],
)
def test_a_line_becomes_what_is_wanted(edit: LineEdit, before: str, after: str) -> None:
    assert edit.apply(before) == after


BLOCK = "# BEGIN hostwright b\none\n# END hostwright b\n"


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (BlockEdit("b", "one\n"), "", BLOCK),
        (BlockEdit("b", "one"), "x\n", f"x\n{BLOCK}"),
        (BlockEdit("b", "one\n"), "x\r\n", f"x\n{BLOCK}".replace("\n", "\r\n")),
        (BlockEdit("b", "one\r\n"), "x\n", f"x\n{BLOCK}"),
        (BlockEdit("b", "one\r\n"), "", BLOCK.replace("\n", "\r\n")),
        (BlockEdit("b", "one"), f"x\n{BLOCK}y\n".replace("\n", "\r\n"), f"x\n{BLOCK}y\n".replace("\n", "\r\n")),
        (BlockEdit("b", "one"), f"x\n{BLOCK}y\n", f"x\n{BLOCK}y\n"),
        (BlockEdit("b", "one"), f"x\n{BLOCK.replace('one', 'old')}y\n", f"x\n{BLOCK}y\n"),
        (BlockEdit("b", "one"), f"{BLOCK}y\n{BLOCK}", f"{BLOCK}y\n"),
        (BlockEdit("b", None), f"x\n{BLOCK}y\n", "x\ny\n"),
        (BlockEdit("b", "one", ";"), f"{BLOCK}", "; BEGIN hostwright b\none\n; END hostwright b\n"),
        (BlockEdit("c", None), f"{BLOCK}", BLOCK),
        # A marker without its partner goes; the lines beside it may be a person's, and stay.
        (BlockEdit("b", "one"), "x\n# BEGIN hostwright b\ny\n", f"x\n{BLOCK}y\n"),
        (BlockEdit("b", "one"), "x\n# END hostwright b\ny\n", f"x\n{BLOCK}y\n"),
        (BlockEdit("b", "one"), f"# BEGIN hostwright b\nx\n{BLOCK}", f"{BLOCK}x\n"),
    ],
)
def test_a_block_becomes_what_is_wanted(edit: BlockEdit, before: str, after: str) -> None:
    assert edit.apply(before) == after


@given(EDITS, TEXTS)
def test_an_edit_applied_twice_is_an_edit_applied_once(edit: LineEdit | BlockEdit, text: str) -> None:
    once = edit.apply(text)
    assert edit.apply(once) == once


@given(st.sampled_from([BlockEdit("b", "one"), BlockEdit("b", None)]), TEXTS)
def test_a_block_never_loses_a_line_outside_of_markers(edit: BlockEdit, text: str) -> None:
    outside = [line for line in BlockEdit("b", None).apply(text).splitlines() if line]
    after = edit.apply(text).splitlines()
    assert [line for line in after if line in outside or line in ("a", "#a x", "a 1", " z")] == outside
