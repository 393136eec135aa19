"""The protocol: every message survives the way, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.outcome import OperationResult, Status
from agent.domain.plan import WantedChange
from agent.engine.protocol import (
    Begin,
    Done,
    Execute,
    FoundDeploy,
    Message,
    Operated,
    Order,
    ProtocolError,
    Skip,
    Started,
    decode,
    encode,
)

MESSAGES: tuple[Message, ...] = (
    Begin("/root", "/tmp", (Order("n", "files", None, {"a": [1, None, {"b": True}]}, {"ä": "ö"}, True),)),
    FoundDeploy(
        "n",
        (WantedChange("file:/x", "write", diff="+a\n", private=True), WantedChange("k", "o", owns=("package:x",))),
        ("k",),
        unowned=2,
    ),
    FoundDeploy("n", error="why"),
    Execute(frozenset({"a", "b"})),
    Skip(),
    Started("n", "k", "o"),
    Operated((OperationResult("n", "k", "o", succeeded=False, changed=True, seconds=0.25, output="x", error="y\nz"),)),
    Done("n", Status.FAILED, "why"),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_arrives_as_it_was_sent_on_one_line(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_field_too_many_or_too_few_is_refused(message: Message) -> None:
    raw = json.loads(encode(message))
    with pytest.raises(ProtocolError, match="unknown field 'more'"):
        decode(json.dumps({**raw, "more": 1}).encode())
    for name in raw:
        with pytest.raises(ProtocolError, match="is missing"):
            decode(json.dumps({key: value for key, value in raw.items() if key != name}).encode())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_field_of_another_type_is_refused(message: Message) -> None:
    raw = json.loads(encode(message))
    for name in raw:
        with pytest.raises(ProtocolError):
            decode(json.dumps({**raw, name: 1.5}).encode())


@pytest.mark.parametrize("status", ["held", "skipped", "fine"])
def test_a_deploy_ends_done_failed_or_stopped(status: str) -> None:
    line = json.dumps({"type": "done", "deploy": "n", "status": status, "error": ""}).encode()
    with pytest.raises(ProtocolError, match=status):
        decode(line)


@pytest.mark.parametrize(
    "line", [b"", b"null\n", b"[]\n", b'"x"\n', b"{}\n", b'{"type": "x"}\n', b"\xff\n", b"[" * 9999]
)
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


def test_a_name_that_is_not_utf8_is_sent_with_question_marks() -> None:
    assert decode(encode(Started("n", "file:/\udcff", "o"))) == Started("n", "file:/?", "o")
