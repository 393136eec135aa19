"""The rules of the layout, held: what import-linter and ruff do not check."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import LONGEST_FIRST

ROOT = Path(__file__).parents[1]

LINES_MAX = 350
"""Of a module: about 300. Longer ones hold more than one thought."""

TEST_LINES_MAX = 500
"""Tests are lists of rules, and a list may be longer than a thought."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
"""Module names that say nothing about what is inside."""

BEGINNINGS = re.compile(
    r"""(
    After | Also | And | As | At | But | By | For | From | How | In | It | Its | Never | Nobody | Nor | Not | Of
    | On | Once | Only | Or | So | That | There | This | Those | To | Until | Up | What | Whatever | When |
    Where | Whether | Which | While | Who | Whoever | Whose | Why | With | Within | Without
    |
    Adds | Appends | Applies | Asks | Brings | Builds | Carries | Changes | Checks | Collects | Compiles |
    Confirms | Copies | Decides | Does | Downloads | Drops | Empties | Ends | Executes | Exports | Fetches |
    Finds | Forgets | Gives | Goes | Has | Holds | Installs | Judges | Keeps | Lays | Lets | Loads | Looks |
    Makes | Marks | Masks | Merges | Moves | Prepares | Puts | Raises | Reads | Remembers | Removes | Renders |
    Replaces | Restores | Returns | Revokes | Runs | Says | Sends | Serves | Sets | Shows | Shuts | Signs |
    Sorts | Stands | Starts | Syncs | Takes | Tells | Turns | Unites | Works | Writes
    )\b""",
    re.VERBOSE,
)
"""Of relative clauses and fragments; of verbs in the third person."""

GENERATED = {"tests/requirements.txt", "requirements.txt"}


def _tracked() -> list[Path]:
    """Files that are in Git or would be with the next commit; all files where there is no Git."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return sorted(path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


TRACKED = _tracked()
MODULES = [path for path in TRACKED if path.suffix == ".py" and path.is_relative_to(ROOT / "agent")]
TESTS = [path for path in TRACKED if path.suffix == ".py" and path.is_relative_to(ROOT / "tests")]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Contents(NamedTuple):
    """Of a module: docstrings by line; imported modules, each with the names that come from it; types by name, each
    with the expression that is assigned to it, None for a class."""

    docstrings: list[tuple[int, str]]
    imports: list[tuple[str, list[str]]]
    types: list[tuple[str, str | None]]


@cache
def _contents(path: Path) -> Contents:
    """Parse and walk a module once for all rules, and keep no tree."""
    tree = ast.parse(path.read_text())
    found = Contents([], [], [(name, value) for node in tree.body for name, value in _types_of(node)])
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found.imports.extend((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.imports.append((node.module, [alias.name for alias in node.names]))
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (
            text := ast.get_docstring(node)
        ):
            found.docstrings.append((getattr(node, "lineno", 1), text))
    return found


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """``node`` and all statements below it. (``ast.walk`` goes into each expression, which takes ten times as long.)"""
    yield node
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for each in getattr(node, field, ()):
            yield from _statements(each)


def _types_of(node: ast.stmt) -> list[tuple[str, str | None]]:
    """The name of a class, or names in the case of a class that something is assigned to."""
    if isinstance(node, ast.ClassDef):
        return [(node.name, None)]
    targets = node.targets if isinstance(node, ast.Assign) else []
    names = [each.id for each in targets if isinstance(each, ast.Name)]
    return [(name, ast.unparse(node.value)) for name in names if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name)]


def test_a_module_holds_one_thought() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in (*MODULES, *TESTS)}
    most = dict.fromkeys(TESTS, TEST_LINES_MAX) | dict.fromkeys(MODULES, LINES_MAX)
    assert [(_name(path), count) for path, count in lines.items() if count > most[path]] == []


def test_a_module_is_named_by_what_it_is_for() -> None:
    assert [_name(path) for path in (*MODULES, *TESTS) if path.stem in FORBIDDEN_NAMES] == []


def test_a_module_says_what_it_is_for() -> None:
    """But a package, and a module that the names of its tests say it of."""
    named_otherwise = re.compile(r"__init__|conftest|test_.*")
    modules = [path for path in (*MODULES, *TESTS) if not named_otherwise.fullmatch(path.stem)]
    assert [_name(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_a_docstring_begins_with_what_the_thing_is_or_does() -> None:
    """With a noun phrase or in the imperative: who reads it from the middle of a sentence has to read it twice."""
    wrong = [
        f"{_name(path)}:{line}: {text.splitlines()[0]}"
        for path in MODULES
        for line, text in _contents(path).docstrings
        if BEGINNINGS.match(text)
    ]
    assert wrong == []


def test_packages_are_empty_so_that_importing_one_module_loads_only_that() -> None:
    bodies = {path: ast.parse(path.read_text()).body for path in MODULES if path.name == "__init__.py"}
    held = {
        _name(path): [ast.unparse(node) for node in body if not _is_docstring(node)] for path, body in bodies.items()
    }
    assert {name: rest for name, rest in held.items() if rest} == {
        "agent/__init__.py": [f"__version__ = {_version()!r}"]
    }


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _version() -> str:
    namespace: dict[str, str] = {}
    exec((ROOT / "agent/__init__.py").read_text(), namespace)
    return namespace["__version__"]


def test_no_two_public_classes_share_a_name() -> None:
    """Nor with an alias of a type that other modules import, nor do two aliases of functions."""
    imported = {(module, name) for path in MODULES for module, names in _contents(path).imports for name in names}
    names = Counter(
        name
        for path in MODULES
        for name, value in _contents(path).types
        if value is None
        or (_name(path).removesuffix(".py").replace("/", "."), name) in imported
        or value.startswith("Callable[")
    )
    shared = {name for name, times in names.items() if times > 1 and not name.startswith("_")}
    assert shared == set()


def test_no_two_modules_of_a_folder_sound_alike() -> None:
    by_sound = defaultdict(list)
    for path in MODULES:
        by_sound[path.parent, re.sub(r"(e|s|er|ers|ing)$", "", path.stem)].append(path.stem)
    assert [names for names in by_sound.values() if len(names) > 1] == []


def test_every_folder_of_tests_is_a_package_so_that_two_modules_may_have_one_name() -> None:
    folders = {path.parent for path in TESTS}
    assert [_name(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_files_whose_tests_begin_first_are_there() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / name).is_file()] == []


def test_no_test_waits_for_ever() -> None:
    """For a thread, a process or an event: a run that hangs tells nobody where."""
    waits = re.compile(r"\.\s*(?:join|wait|communicate)\s*\(\s*\)")
    perhaps = [(path, text) for path in TESTS if waits.search(text := path.read_text())]  # a few, which are parsed
    calls = (
        (path, node)
        for path, text in perhaps
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords
    )
    named = ("join", "wait", "communicate")
    assert [f"{_name(path)}:{call.lineno}" for path, call in calls if call.func.attr in named] == []  # type: ignore[attr-defined]


def test_only_verify_makes_a_trusted_commit() -> None:
    makers = [_name(path) for path in MODULES if re.search(r"\bTrustedCommit\(", path.read_text())]
    assert set(makers) <= {"agent/steps/verify.py"}


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"https?://(?!\S*\bexample\b)\S+/(?:simple|debian|packages)(?:/|\s|$)", id="registry"),
        pytest.param(r"(?<![\w./~-])/(?:Users/\w+|tmp/(?:pytest|tmp)[\w-]*)/", id="path-of-one-machine"),
        pytest.param(r"\b(?:TODO|FIXME|XXX)\b", id="left-for-later"),
    ],
)
def test_no_file_names_a_registry_a_persons_machine_or_something_left_for_later(pattern: str) -> None:
    found = [
        f"{_name(path)}:{number}: {line.strip()[:80]}"
        for path in TRACKED
        if _name(path) not in GENERATED | {_name(Path(__file__))} and not path.is_symlink()
        if re.search(pattern, text := path.read_text(errors="replace"))
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_scripts_can_be_run() -> None:
    scripts = [path for path in TRACKED if path.read_bytes().startswith(b"#!")]
    assert [_name(path) for path in scripts if not path.stat().st_mode & 0o111] == []


ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
IMPORTED_AS = {
    "gordon-to-regorus": "regorus",
    "GitPython": "git",
    "PyYAML": "yaml",
    "Jinja2": "jinja2",
    "backports.zstd": "backports",
}


def test_the_page_about_the_architecture_names_every_step() -> None:
    steps = [path.name for path in MODULES if path.parent == ROOT / "agent/steps" and path.name != "__init__.py"]
    assert [name for name in steps if f"../agent/steps/{name})" not in ARCHITECTURE] == []


def test_the_page_about_the_architecture_knows_every_library_and_where_it_is_imported() -> None:
    rows = re.findall(r"^\| ([\w.-]+) \([^|]*\) \| [^|]* \| ([^|]*) \|$", ARCHITECTURE, re.MULTILINE)
    homes = {IMPORTED_AS.get(name, name): re.findall(r"`([^`]+)`", home) for name, home in rows}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["host"]]
    needed = [re.match(r"[\w.-]+", line)[0] for line in needed]  # type: ignore[index]
    assert {IMPORTED_AS.get(name, name) for name in needed} == {*homes, "uv"}
    strangers = [
        f"{path} imports {library}"
        for path in (module.relative_to(ROOT / "agent") for module in MODULES)
        for library in _imported(ROOT / "agent" / path) & homes.keys()
        if not any(path.match(home) or (home.endswith("/") and f"{path}".startswith(home)) for home in homes[library])
    ]
    assert strangers == []


def _imported(path: Path) -> set[str]:
    return {module.partition(".")[0] for module, _ in _contents(path).imports}
