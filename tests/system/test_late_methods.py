"""Dataclasses whose methods are compiled when they are first called: as any others, for less."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from agent.system.late_methods import compile_late

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python compiles the methods of a class together")

PACKAGE = __name__.partition(".")[0]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of methods, as they are compiled from here on."""
    names: list[str] = []
    compile_now: Callable[..., Any] = vars(dataclasses)["_create_fn"]

    def noted(name: str, *source: Any, **given: Any) -> Any:
        names.append(name)
        return compile_now(name, *source, **given)

    monkeypatch.setattr(dataclasses, "_create_fn", noted)
    return names


@pytest.fixture
def late(compiled: list[str]) -> Iterator[list[str]]:
    compile_late(PACKAGE)
    return compiled


def point() -> Any:
    @dataclass(frozen=True, slots=True, order=True)
    class Point:
        x: int
        y: int = 0
        names: list[str] = field(default_factory=list, compare=False)

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("left of all")

    return Point


def test_a_method_is_compiled_when_it_is_first_called(late: list[str]) -> None:
    kind = point()
    assert late == []
    one, other = kind(1), kind(2)
    assert late == ["__init__"]
    assert one != other
    assert kind(3) != one
    assert late == ["__init__", "__eq__"]


def test_a_representation_is_compiled_once(late: list[str]) -> None:
    one = point()(1)
    assert repr(one) == repr(one)
    assert late.count("__repr__") == 1


def test_those_of_other_packages_are_compiled_at_once(compiled: list[str]) -> None:
    compile_late("agent")
    point()
    assert "__init__" in compiled


def test_a_field_may_have_any_name(late: list[str]) -> None:
    @dataclass
    class Names:
        self: int
        values: int
        named: int

    made = Names(self=1, values=2, named=3)
    assert (made.self, made.values, made.named) == (1, 2, 3)


OUTCOMES: dict[str, Callable[[Any], Any]] = {
    "made": lambda kind: [getattr(kind(1, y=2, names=["a"]), name) for name in ("x", "y", "names")],
    "defaults": lambda kind: kind(1).names is not kind(1).names,
    "shown": lambda kind: repr(kind(1)),
    "compared": lambda kind: (kind(1) == kind(1), kind(1) == 1, kind(1) < kind(2), kind(1) >= kind(2)),
    "hashed": lambda kind: len({kind(1), kind(1, names=["a"]), kind(2)}),
    "replaced": lambda kind: replace(kind(1), y=5).y,
    "matched": lambda kind: kind.__match_args__,
    "inherited": lambda kind: repr(type("Sub", (kind,), {})(1, 2)),
    "set": lambda kind: setattr(kind(1), "x", 2),
    "deleted": lambda kind: delattr(kind(1), "x"),
    "lacking": lambda kind: kind(),
    "too many": lambda kind: kind(1, 2, [], 4),
    "unknown": lambda kind: kind(1, z=1),
    "refused": lambda kind: kind(-1),
}


def outcome(call: Callable[[Any], Any]) -> object:
    try:
        return call(point())
    except (FrozenInstanceError, TypeError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("name", OUTCOMES)
def test_it_is_as_any_other(compiled: list[str], name: str) -> None:
    known = outcome(OUTCOMES[name])
    compile_late(PACKAGE)
    assert outcome(OUTCOMES[name]) == known


LOADED = """\
import atexit, sys
found = [0]
def heard(event, arguments):
    found[0] += event == "compile" and b"__create_fn__" in (arguments[0] or b"")
def tell():
    import agent.wiring
    classes = {kind for module in list(sys.modules.values()) if module.__name__.startswith("agent.")
               for kind in vars(module).values()
               if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")}
    print(found[0], len(classes), file=sys.stderr)
sys.addaudithook(heard)
atexit.register(tell)
sys.argv = ["hostwright", "--version"]
from agent.__main__ import main
main()
"""


def test_the_command_line_compiles_few_methods_of_what_a_cycle_loads() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", LOADED], capture_output=True, text=True, check=True, timeout=60)
    compiled, classes = map(int, done.stderr.split())
    assert classes > 100
    assert compiled < classes
