"""The closed table of kinds: what every row has to bring."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import agent
from agent.deploys.containers.quadlet_text import FOLDER as QUADLETS
from agent.deploys.cron.host import path_of
from agent.deploys.kind import NAMES, Kind, kind_named, other_keys, paths_of
from agent.deploys.unit_state import UNIT_FOLDER
from tests.stories.life_cycles import ROWS


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_says_how_it_is_removed(name: str) -> None:
    kind = type(kind_named(name))
    assert issubclass(kind, Kind)
    assert kind.remove is not Kind.remove or kind.remove_one is not Kind.remove_one


AGENT = Path(agent.__file__).parent
TABLE = AGENT / "deploys/kind.py"

KNOWN = {
    (
        "cli/commands/uninstall.py",
        "package",
    ): "bootstrap.sh installs packages, of which the agent needs some to the end",
    ("cli/first_entries.py", "package"): "bootstrap.sh installs packages and nothing else",
    ("deploys/items.py", "directory"): "an item without a mode is a parent",
    ("deploys/items.py", "file"): "an item's text counts by its blob id, and a secret one needs a mode",
    ("deploys/items.py", "line"): "a line that holds a secret is found by its pattern",
    ("engine/secrecy.py", "user"): "an account whose password nobody can read here keeps the one that it has",
    ("steps/choose.py", "user"): "whom Git locks out stays out, also on the way back",
    ("steps/reach.py", "unit"): "what a resource reloads are units",
}
"""Modules that have to do with one kind for a reason of their own."""


def kinds_in(node: ast.AST) -> Iterator[str]:
    """Kinds that are named by ``node``: in a key, in a list of kinds, or compared with one."""
    match node:
        case ast.Constant(value=str(text)):
            kind, colon, rest = text.partition(":")
            yield from [kind] if colon and not rest.startswith("//") else []
        case ast.Compare(left=left, comparators=[right]) if any(is_kind(each) for each in (left, right)):
            yield from words_in([left, right])
        case ast.Tuple(elts=words) | ast.List(elts=words) | ast.Set(elts=words) | ast.Dict(keys=words):
            found = words_in(words)
            yield from found if len(found) == len(words) and set(found) <= set(NAMES) else []


def is_kind(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "kind") or (
        isinstance(node, ast.Name) and node.id == "kind"
    )


def words_in(nodes: Iterable[ast.AST | None]) -> list[str]:
    """The texts among ``nodes``, and in lists among them."""
    texts: list[str] = []
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                texts.append(text)
            case ast.Tuple(elts=words) | ast.List(elts=words) | ast.Set(elts=words):
                texts += words_in(words)
    return texts


def test_what_is_known_of_a_kind_stands_in_its_deploys_folder_and_its_row() -> None:
    """So that a new kind is a class and a row. ``system`` lies below all kinds, and ``checks`` has kinds of its own."""
    elsewhere = {
        (f"{path.relative_to(AGENT)}", kind)
        for path in sorted(AGENT.rglob("*.py"))
        if path != TABLE and path.relative_to(AGENT).parts[0] not in ("system", "checks")
        if path.parent == TABLE.parent or TABLE.parent not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        for kind in kinds_in(node)
        if kind in NAMES
    }
    assert elsewhere == set(KNOWN)


def test_every_kind_is_taken_through_its_life_on_a_host() -> None:
    assert set(NAMES) - {key.partition(":")[0] for row in ROWS for key in (*row.keys, *row.fates)} == set()


@pytest.mark.parametrize(
    ("key", "others"),
    [
        ("unit:app.service", ("file:/etc/systemd/system/app.service",)),
        ("file:/etc/systemd/system/app.service", ("unit:app.service",)),
        ("file:/etc/systemd/system/app.service.d/10.conf", ()),
        ("quadlet:web.container", ("file:/etc/containers/systemd/web.container",)),
        ("file:/etc/cron.d/hostwright-backup", ("cron:backup",)),
        ("file:/etc/cron.d/hostwright-", ()),
        ("cron:backup", ("file:/etc/cron.d/hostwright-backup",)),
        ("timezone:host", ("link:/etc/localtime", "file:/etc/timezone")),
        ("link:/etc/localtime", ("timezone:host",)),
        ("file:/etc/localtime", ()),
        ("directory:/etc", ()),
        ("op:shell#1", ()),
    ],
)
def test_a_thing_that_is_also_a_file_or_a_link_is_known_by_both_names(key: str, others: tuple[str, ...]) -> None:
    assert other_keys(key) == others


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("unit:app.service", f"{UNIT_FOLDER}/app.service"),
        ("quadlet:web.container", f"{QUADLETS}/web.container"),
        ("cron:backup", path_of("backup")),
    ],
)
def test_a_row_names_the_file_that_its_class_writes(key: str, path: str) -> None:
    assert [*paths_of(key)] == [path]
