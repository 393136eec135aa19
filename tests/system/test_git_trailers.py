"""Trailers as git reads them."""

from __future__ import annotations

import pytest

from agent.system.mirror import trailers

HEAD = b"tree 1\nauthor A <a@b> 5 +0000\nX: y\n\n"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Subject\n\nKey: value\n", [("Key", "value")]),
        ("Subject\n\nText.\n\nkey:VALUE\nSigned-off-by: A <a@b>\n", [("key", "VALUE"), ("Signed-off-by", "A <a@b>")]),
        ("Subject\r\n\r\nKey: value\r\n", [("Key", "value")]),
        ("Subject\n\nKey: value\n\n\n", [("Key", "value")]),
        ("Subject\n\nText\n\n---\n\nKey: value\n", [("Key", "value")]),
        ("Key: value\n", []),
        ("Key: value", []),
        ("Subject\n\nKey: value\n\nMore text.\n", []),
        ("Subject\n\nText in a paragraph\nthat goes on,\nand on\nKey: value\n", []),
        ("Subject\n", []),
        ("", []),
    ],
)
def test_trailers_are_the_last_paragraph_and_nothing_else(message: str, found: list[tuple[str, str]]) -> None:
    assert trailers(HEAD + message.encode()) == tuple(found)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert trailers(HEAD + b"\xff\n\nOther: \xfd\nKey: value\n")[-1] == ("Key", "value")
