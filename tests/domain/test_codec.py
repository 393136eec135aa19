"""Documents: what is written comes back, and nothing of another type is taken for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from agent.domain import codec
from agent.domain.digest import JSON


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    part: Part
    parts: Mapping[str, Part] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    set: frozenset[str] = frozenset()
    pair: tuple[str, int] = ("", 0)
    colour: Colour = Colour.RED
    share: float = 0.0
    on: bool = False
    data: Mapping[str, JSON] = field(default_factory=dict)


WHOLE = Whole(
    Part("a\udcff", 2), {"b": Part("ü")}, ("x", "y"), frozenset("yz"), ("p", 1), share=0.5, on=True, data={"l": [1, {}]}
)


def test_what_was_written_comes_back() -> None:
    assert codec.decode(codec.encode(WHOLE), Whole) == WHOLE


def test_the_same_value_is_always_the_same_bytes() -> None:
    assert codec.encode(Part("a", 1)) == b'{"name": "a", "size": 1}\n'


def test_what_has_a_default_may_be_missing_and_unknown_keys_are_passed_over() -> None:
    assert codec.decode(b'{"part": {"name": "a"}, "newer": 1}', Whole) == Whole(Part("a"))


@pytest.mark.parametrize(
    ("where", "wrong", "why"),
    [
        ("part", {}, "part: field 'name' is missing"),
        ("part", None, "part: an object was expected"),
        ("part", {"name": 1}, "part.name: text was expected"),
        ("part", {"name": "a", "size": True}, "part.size: a whole number was expected"),
        ("part", {"name": "a", "size": 1.0}, "part.size: a whole number was expected"),
        ("parts", {"x": {"name": None}}, "parts.x.name: text was expected, not 'None'"),
        ("names", "text", "names: a list was expected"),
        ("names", ["a", 2], "names.1: text was expected"),
        ("pair", ["a"], "pair: a list of 2 was expected"),
        ("colour", "blue", "colour: Colour has no 'blue'"),
        ("share", "1", "share: a number was expected"),
        ("share", 10**400, "share: a number was expected"),
        ("share", float("nan"), "share: a number was expected"),
        ("share", float("-inf"), "share: a number was expected"),
        ("on", 1, "on: true or false was expected"),
    ],
)
def test_a_value_of_another_type_is_refused_and_named_by_its_path(where: str, wrong: Any, why: str) -> None:
    document = json.loads(codec.encode(WHOLE)) | {where: wrong}
    with pytest.raises(codec.Mismatch) as refused:
        codec.decode(json.dumps(document).encode(), Whole)
    assert why in str(refused.value)


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"[" * 9999, b"\xff", b"1" * 9999])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.decode(document, Whole)


@dataclass(frozen=True, slots=True)
class Renamed:
    never_ended: bool = field(default=False, metadata={codec.IN_DOCUMENTS: "forlorn"})


def test_a_field_may_have_another_name_in_documents() -> None:
    assert json.loads(codec.encode(Renamed(never_ended=True))) == {"forlorn": True}
    assert codec.decode(b'{"forlorn": true}', Renamed) == Renamed(never_ended=True)
    assert codec.decode(b'{"never_ended": true}', Renamed) == Renamed()


def test_an_exact_object_has_all_fields_and_no_other() -> None:
    assert codec.from_plain({"name": "a", "size": None}, Part, exact=True) == Part("a")
    with pytest.raises(codec.Mismatch, match="field 'size' is missing"):
        codec.from_plain({"name": "a"}, Part, exact=True)
    with pytest.raises(codec.Mismatch, match="unknown field 'more'"):
        codec.from_plain({"name": "a", "size": None, "more": 1}, Part, exact=True)
