"""The YAML reader: values, positions, refusals, bounds."""

from __future__ import annotations

import re
import time

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InventoryError
from agent.system import yaml
from agent.system.document import Map, Position, Value, locate, plain
from agent.system.yaml import YamlError
from agent.system.yaml_words import YamlProblem
from tests.drawing import cases


def read(text: str) -> Value:
    node = yaml.load(text.encode(), "f.yaml")
    assert node is not None
    return plain(node)


def problem(text: str | bytes) -> str:
    with pytest.raises(YamlError) as caught:
        yaml.load(text if isinstance(text, bytes) else text.encode(), "f.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 1.5, ~, yes, 017, 0x1F, 1:30, 1_000]",
        "a: &x {p: 1}\nb: {<<: *x, q: 2}\nc: {<<: [*x, {p: 3, r: 4}], p: 5}",
        "a: |\n  text\n  more\nb: >-\n  folded\n  text\n",
        "'a': \"b\\n\"\n? c\n: d",
        "- - - deep",
        "{2: a, true: b, ~: c, 1.5: d}",
        "!!str 5",
    ],
)
def test_values_are_those_of_pyyaml(text: str) -> None:
    assert read(text) == pyyaml.safe_load(text)


def test_dates_are_their_text() -> None:
    assert read("[2026-12-01, 2026-12-01T06:00:00Z]") == ["2026-12-01", "2026-12-01T06:00:00+00:00"]


def test_an_empty_file_is_nothing() -> None:
    assert yaml.load(b"# only a comment\n", "f.yaml") is None


def test_every_key_and_value_knows_its_place() -> None:
    node = yaml.load(b"a: 1\nb:\n  - x\n  - {c: 2}\n", "f.yaml")
    assert isinstance(node, Map)
    assert node.keys["b"] == Position("f.yaml", 2, 1)
    assert locate(node, ("b", 1, "c")) == Position("f.yaml", 4, 6)
    assert node.values["a"].position == Position("f.yaml", 1, 4)


def test_a_path_that_leads_nowhere_is_located_as_far_as_it_leads() -> None:
    node = yaml.load(b"a:\n  b: 1\n", "f.yaml")
    assert node is not None
    assert locate(node, ("a", "nix", 5)) == Position("f.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key 'a' stands here twice, first in line 1"),
        ("a: {{ x }}", "f.yaml:1:4: a text that begins with {{ stands without quotes"),
        ("? [a]\n: b", "a key cannot be a list or a mapping"),
        ("a:\n\t- b", "f.yaml:2:1: a tab indents this line"),
        ("a: b: c", "f.yaml:1:5: a second colon in one line"),
        ("a: *b", "no anchor &b ends before it"),
        ("&a [*a]", "no anchor &a ends before it"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins here"),
        ("a: !!python/object:os.system x", "f.yaml:1:4: the tag !!python/object:os.system is not supported"),
        ("a: !!set {x}", "the tag !!set is not supported"),
        ("a: !!binary aGk=", "the tag !!binary is not supported"),
        ("a: 2026-13-45", "'2026-13-45' is not a date"),
        ("a: !!timestamp foo", "f.yaml:1:4: 'foo' is not a date"),
        ("a: !!null x", "f.yaml:1:4: 'x' is not a null"),
        ("a: !!bool maybe", "f.yaml:1:4: 'maybe' is not a truth value"),
        ("a: !!float 1.2.3", "f.yaml:1:4: '1.2.3' is not a number"),
        ("a: !!int ''", "is not a whole number"),
        ("1: a\ntrue: b", "f.yaml:2:1: the keys 1 (line 1) and true count as one"),
        ("yes: a\non: b", "f.yaml:2:1: the key true stands here twice, first in line 1"),
        ("~: a\nnull: b", "f.yaml:2:1: the key null stands here twice, first in line 1"),
        ("<<: 3", "<< takes a mapping or a list of mappings"),
        (b"a: \xff", "f.yaml:1:4: not UTF-8 text"),
        (b"a: \x00", "the character U+0000 cannot stand in a file"),
        ("[" * 100, "nested deeper than 64 levels"),
    ],
)
def test_what_is_refused_is_said_with_its_place(text: str | bytes, complaint: str) -> None:
    assert complaint in problem(text)


def test_all_problems_of_a_readable_file_come_at_once() -> None:
    assert len(problem("a: 1\na: 2\nb: !x 1\nc: 2026-99-99\n").splitlines()) == 3


def test_where_ansible_reads_a_text_the_last_of_two_equal_keys_counts() -> None:
    node = yaml.load(b"a: 1\na: 2\n", "f.yaml", last_wins=True)
    assert node is not None
    assert plain(node) == {"a": 2}


def test_what_is_json_is_read_as_json() -> None:
    assert read('{"a": 1e5, "b": "x"}') == {"a": 100000.0, "b": "x"}
    assert read("a: 1e5") == {"a": "1e5"}


LAUGHS = "a0: &a0 [x, x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    "text",
    [LAUGHS, "[" * 8_000_000, "- " * 4_000_000, "a: 1" + ":59" * 1_000_000, "x" * 9_000_000, "a: " + "9" * 5000],
    ids=["laughs", "brackets", "dashes", "base 60", "too large", "digits"],
)
def test_no_input_takes_long_to_refuse(text: str) -> None:
    begun = time.process_time()
    problem(text)
    assert time.process_time() - begun < 10


def test_an_error_is_one_that_users_can_cause() -> None:
    assert issubclass(YamlError, InventoryError)


WORDS = (
    "a",
    "-",
    ":",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&x",
    "*x",
    "<<",
    "!!int",
    "!t",
    "|",
    ">",
    "'",
    '"',
    "#",
    "~",
    "1",
    "=",
)
MORE_WORDS = ("?", "\\x", "é", "2026-01-01", "{{", "...", "%YAML")
SPACES = (" ", ": ", "- ", "\n", "\n  ", "\t", "\x00", "\u2028", "---\n")
TAGS = tuple(
    f"!!{name}"
    for name in [
        "null",
        "bool",
        "int",
        "float",
        "timestamp",
        "str",
        "merge",
        "seq",
        "map",
        "set",
        "omap",
        "binary",
        "python/none",
    ]
)
TAGGED = ("!!timestamp foo", "!!bool x", "!!null x", "!!float x", "!!int 0b_", "!!timestamp 2026-01-01T00:00:00+99:99")
SCRAPS = st.lists(st.sampled_from((*WORDS, *MORE_WORDS, *SPACES, *TAGS, *TAGGED)), max_size=30).map("".join)


@cases(1500)
@given(st.one_of(SCRAPS.map(str.encode), st.binary(max_size=40)))
def test_no_input_ends_in_anything_but_a_value_or_a_complaint(content: bytes) -> None:
    problems: tuple[YamlProblem, ...] = ()
    try:
        yaml.load(content, "f.yaml")
    except YamlError as error:
        problems = error.problems
    assert [found for found in problems if not found.remedy or PARSERS_OWN.search(found.problem)] == []


PARSERS_OWN = re.compile(r"expected|block (mapping|end|collection)|flow|token|scann|pars|node|indicator|construct")
"""Words of the library, which say nothing to who wrote the file."""


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@cases(200)
@given(JSONS)
def test_what_is_dumped_reads_back(value: Value) -> None:
    node = yaml.load(yaml.dump(value).encode(), "f.yaml")
    assert (None if node is None else plain(node)) == value


def test_only_plain_data_is_dumped() -> None:
    with pytest.raises(TypeError):
        yaml.dump(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a: "x\nb: 1\n', '1:4: the " that opens here is never closed'),
        ('a: "x\nb: 1\nc: "d"\n', '1:4: the " that opens here is closed only in line 3'),
        ("a: 'it's'\n", "1:8: text follows behind the closing '"),
        ("a: [1, 2\nb: 3\n", "1:4: the [ that opens here is never closed"),
        ("a: {x: 1\nb: 3\n", "1:4: the { that opens here is never closed"),
        ("a: [b: c: d]\n", "1:9: this does not belong between [ and ]"),
        ("x: {{ a }}b\n", "1:4: a text that begins with {{ stands without quotes"),
        ("hosts: *\n", "1:8: * begins an alias in YAML"),
        ("hosts: &canary\n", "1:8: &canary is an anchor, and nothing stands behind it"),
        ("hosts: !db\n", "1:8: the tag !db is not supported"),
        ("a: @x\n", "1:4: a text that begins with @ stands without quotes"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n", "2:1: a merge conflict was left in here"),
        ("- hosts: all\n  deploys\n    - x\n", "2:3: neither `key: value` nor `- item`"),
        ("a: 1\n- b\n", "2:1: an item of a list among the keys of a mapping"),
        ("- a\nb: 1\n", "2:1: a line among the items of a list that is none"),
        ("a:\n  b: 1\n c: 2\n", "3:2: this line is indented like none above it"),
        ("a: b\n  c: d\n", "2:3: this key stands below a line that cannot hold it"),
        ('a: "\\d"\n', "a backslash in double quotes begins something else here"),
        ("%x\n", "a line begins with %"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3132\n", "1:1: a file of Ansible Vault, which is not read here"),
    ],
)
def test_what_was_meant_is_told_where_it_began_by_either_parser(
    text: str, complaint: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "_Loader", getattr(pyyaml, loader))
    assert complaint in problem(text)
