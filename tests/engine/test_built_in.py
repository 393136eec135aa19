"""A built-in deploy on its way through the engine: its single corrections are planned, allowed, run and told."""

from __future__ import annotations

import getpass

from agent.deploys.items import Item, concrete_items
from agent.domain.outcome import Status
from agent.engine.client import Execute
from tests.engine.conftest import Bench


def wanted(bench: Bench, *names: str, validate: tuple[str, ...] = ()) -> None:
    paths = [str(bench.target / name) for name in names]
    items = [Item(path=path, kind="file", mode=0o644, text="hello\n", validate=validate) for path in paths]
    bench.built_in("files", "files", {"items": concrete_items(items)[0]})


def test_only_the_allowed_corrections_are_carried_out(bench: Bench) -> None:
    wanted(bench, "a", "b")
    a, b = (f"file:{bench.target / name}" for name in "ab")
    found = bench.plan()["files"]
    assert found.error is None
    assert [change.resource for change in found.changes] == [a, b]
    outcome = bench.apply(decide=lambda _found: Execute(frozenset({b})))["files"]
    assert outcome.status is Status.DONE
    assert [(result.resource, result.changed) for result in outcome.results] == [(b, True)]
    assert [path.name for path in bench.target.iterdir()] == ["b"]
    assert bench.plan()["files"].resources == (a,)


def test_a_correction_that_fails_keeps_no_other_from_being_made(bench: Bench) -> None:
    wanted(bench, "a", "b/x", "c")
    (bench.target / "b").symlink_to("/nowhere-at-all")
    outcome = bench.apply()["files"]
    assert outcome.status is Status.FAILED
    assert f"file:{bench.target / 'b/x'}" in outcome.error
    assert {path.name for path in bench.target.iterdir()} == {"a", "b", "c"}
    told = {result.resource.rpartition("/")[2]: result.succeeded for result in outcome.results}
    assert told == {"a": True, "x": False, "c": True}


def test_a_stop_ends_a_bulk_operation_between_two_corrections(bench: Bench) -> None:
    wanted(bench, *(f"{number:03}" for number in range(200)), validate=("/bin/true", "%s"))
    engine = bench.engine()
    outcome = bench.apply(engine=engine, on_started=lambda *_: engine.stop())["files"]
    assert outcome.status is Status.STOPPED
    assert 0 < len(outcome.results) < 200
    assert all(result.succeeded and result.changed for result in outcome.results)
    assert len(list(bench.target.iterdir())) == len(outcome.results)


def test_what_is_made_together_is_told_whatever_is_asked_meanwhile(bench: Bench) -> None:
    wanted(bench, *(f"{number:03}" for number in range(200)))
    engine = bench.engine()
    outcome = bench.apply(engine=engine, on_started=lambda *_: engine.stop())["files"]
    assert outcome.status is Status.DONE
    assert len(list(bench.target.iterdir())) == len(outcome.results) == 200


def test_what_is_made_together_begins_once(bench: Bench) -> None:
    wanted(bench, *(f"{number:03}" for number in range(200)))
    begun: list[str] = []
    outcome = bench.apply(on_started=lambda _deploy, resource, _operation: begun.append(resource))["files"]
    assert begun == [f"file:{bench.target / '000'}"]
    assert [result.resource for result in outcome.results] == [
        f"file:{bench.target / f'{number:03}'}" for number in range(200)
    ]


def test_what_a_correction_returns_is_the_output_of_its_result(bench: Bench) -> None:
    made = f"{bench.target}/made"
    command = {"name": "make", "digest": "", "argv": ["sh", "-c", f"echo told; touch {made}"], "unless": None}
    command |= {"creates": made, "user": getpass.getuser(), "cwd": "/", "env": {}, "timeout_s": 20}
    bench.built_in("command", "command", {"commands": [command]})
    (result,) = bench.apply()["command"].results
    assert (result.resource, result.succeeded, result.output) == ("command:make", True, "told\n")


def test_a_built_in_that_is_given_nonsense_says_where_it_broke(bench: Bench) -> None:
    bench.built_in("files", "files", {})
    assert (bench.plan()["files"].error or "").startswith("agent/deploys/tree.py:")
