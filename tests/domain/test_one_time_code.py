"""A one-time code is found in the text around it, and a mistyped one is told from a wrong one."""

from __future__ import annotations

import pytest

from agent.domain.one_time_code import OneTimeCode

CODE = OneTimeCode.new()


@pytest.mark.parametrize(
    "text",
    ["{}", "{}\n", "  content: {}\n  mode: 0600\n", '"source": "data:,{}%0A"', "echo '{}' > /root/code; chmod"],
)
def test_a_code_is_read_out_of_the_file_that_it_stands_in(text: str) -> None:
    assert OneTimeCode.read(text.format(CODE.text)) == CODE
    assert OneTimeCode.read(text.format(CODE.text.upper())) == CODE


def test_the_same_code_twice_is_one() -> None:
    assert OneTimeCode.read(f"{CODE.text} {CODE.text}") == CODE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no code"),
        (CODE.text[:-5], "no code"),
        (f"{CODE.text}a", "no code"),
        (f"{CODE.text} {OneTimeCode.new().text}", "more than one"),
        (CODE.text[:-1] + ("a" if CODE.text[-1] != "a" else "b"), "mistyped"),
    ],
    ids=["empty", "cut off", "longer", "two", "mistyped"],
)
def test_what_is_no_code_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OneTimeCode.read(text)


def test_a_code_holds_128_random_bits() -> None:
    assert len({OneTimeCode.new().text for _ in range(100)}) == 100
    assert len(CODE.text) == len("hwc") + 8 * 5


def test_a_seal_is_of_one_message_by_one_code() -> None:
    seal = CODE.seal(b"keys")
    assert CODE.sealed(b"keys", seal)
    assert not CODE.sealed(b"other keys", seal)
    assert not OneTimeCode.new().sealed(b"keys", seal)
    assert not CODE.sealed(b"keys", "é")


def test_a_code_is_in_no_log() -> None:
    assert CODE.text not in f"{CODE!r}"
