"""Which resources pyinfra's operations look after: the table, and what the engine says of a whole deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.engine.client import FoundDeploy
from agent.engine.operation_calls import Call, owned, require_closure
from tests.engine.conftest import Bench

CALLS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("files.put", {"src": "a", "dest": "/opt/x/a.conf"}, ("file:/opt/x/a.conf",)),
    ("files.template", {"src": "a.j2", "dest": Path("/opt/x/a.conf")}, ("file:/opt/x/a.conf",)),
    ("files.download", {"src": "https://a/b", "dest": "/opt/b"}, ("file:/opt/b",)),
    ("files.copy", {"src": "/opt/from/b", "dest": "/opt/to"}, ("file:/opt/to/b",)),
    ("files.file", {"path": "/opt/x", "present": False}, ("file:/opt/x",)),
    ("files.directory", {"path": "/opt/x"}, ("directory:/opt/x",)),
    ("files.link", {"path": "/opt/x", "target": "/opt/y"}, ("link:/opt/x",)),
    ("apt.packages", {"packages": "nginx"}, ("package:nginx",)),
    ("apt.packages", {"packages": ["nginx=1.22.1-9", "libc6:i386"]}, ("package:nginx", "package:libc6:i386")),
    ("dnf.packages", {"packages": ["a", "a", "https://a/b.rpm"]}, ("package:a",)),
    ("server.packages", {"packages": ["a"], "present": False}, ("package:a",)),
    ("server.user", {"user": "ann"}, ("user:ann",)),
    ("server.group", {"group": "staff"}, ("group:staff",)),
    ("systemd.service", {"service": "nginx"}, ("unit:nginx.service",)),
    ("systemd.service", {"service": "x.timer", "running": True, "restarted": True}, ("unit:x.timer",)),
    ("server.service", {"service": "nginx", "enabled": False, "reloaded": True}, ("unit:nginx.service",)),
)

NOTHING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server.shell", {"commands": ["touch /x"]}),
    ("files.line", {"path": "/etc/hosts", "line": "x"}),
    ("files.block", {"path": "/etc/hosts", "content": "x"}),
    ("files.sync", {"src": "a", "dest": "/opt/x"}),
    ("files.put", {"src": "a", "dest": "x/a"}),
    ("files.put", {"src": "a", "dest": "~/a"}),
    ("files.put", {"src": "a", "dest": "/opt/../etc/x"}),
    ("files.put", {"src": "a", "dest": "//opt/x"}),
    ("files.put", {"src": "a", "dest": "/opt/x\nfile:/etc/y"}),
    ("files.directory", {"path": "/"}),
    ("files.directory", {"path": "/opt/x/"}),
    ("files.file", {"path": 3}),
    ("apt.packages", {"update": True}),
    ("apt.packages", {"packages": None}),
    ("apt.packages", {"packages": ["./x.deb", "-y", "a b"]}),
    ("server.user", {"user": "ann:x"}),
    ("systemd.service", {"service": "nginx", "restarted": True}),
    ("systemd.service", {"service": "nginx", "restarted": True, "running": None}),
    ("systemd.service", {"service": "nginx", "daemon_reload": True}),
    ("systemd.service", {"service": "nginx", "user_mode": True, "user_name": "ann"}),
    ("systemd.service", {"service": "-x"}),
)


def call(operation: str, arguments: dict[str, Any]) -> Call:
    return Call(f"pyinfra.operations.{operation}", arguments)


@pytest.mark.parametrize(("operation", "arguments", "keys"), CALLS, ids=str)
def test_an_operation_in_the_table_owns(operation: str, arguments: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert owned(call(operation, arguments)) == keys


@pytest.mark.parametrize(("operation", "arguments"), NOTHING, ids=str)
def test_all_else_owns_nothing(operation: str, arguments: dict[str, Any]) -> None:
    assert owned(call(operation, arguments)) == ()


def test_an_operation_of_the_same_name_that_is_not_pyinfras_owns_nothing() -> None:
    assert owned(Call("files.put", {"src": "a", "dest": "/opt/x"})) == ()


def test_what_is_put_into_a_folder_has_its_own_name_there(tmp_path: Path) -> None:
    assert owned(call("files.put", {"src": "conf/a", "dest": f"{tmp_path}"})) == (f"file:{tmp_path}/a",)


def test_a_copied_folder_is_more_than_can_be_told(tmp_path: Path) -> None:
    assert owned(call("files.copy", {"src": f"{tmp_path}", "dest": "/opt"})) == ()


def test_another_pyinfra_whose_operations_hide_their_call_is_refused() -> None:
    with pytest.raises(AssertionError, match="no command_generator any more"):
        require_closure(lambda: None)


@pytest.fixture(scope="module")
def plan(shared_bench: Bench) -> dict[str, FoundDeploy]:
    bench = shared_bench
    (bench.target / "same").write_text("same\n")
    bench.deploy(
        "everything",
        """
        files.put(StringIO("new\\n"), str(target / "new"))
        files.put(name="same", src=StringIO("same\\n"), dest=str(target / "same"))
        again = files.link(name="link", path=str(target / "link"), target="same", _if=lambda: False)
        server.shell(name="shell", commands=["true"], _if=again.did_change)
        files.put(name="relative", src=StringIO("x"), dest="x")
        """,
    )
    bench.deploy(
        "nested",
        """
        from pyinfra.api import deploy, operation

        @operation()
        def outer():
            yield from files.put._inner(src=StringIO("x"), dest=str(target / "inner"))

        @deploy("Part")
        def part():
            files.template("greeting.j2", str(target / "greeting"), name="greet", who="you")

        outer()
        part()
        """,
    )
    bench.write("greeting.j2", "hello {{ who }}\n")
    place = f"{bench.target}/x"
    bench.built_in("built_in", "files", {"items": [{"path": place, "kind": "file", "absent": True}]})
    return bench.plan()


def test_a_change_says_what_its_operation_owns(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    changes = {change.resource: change.owns for change in plan["everything"].changes}
    assert changes == {"op:files.put#1": (f"file:{shared_bench.target}/new",), "op:relative#1": ()}


def test_what_has_nothing_to_do_owns_all_the_same(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    operations = ["op:files.put#1", "op:same#1", "op:link#1", "op:shell#1", "op:relative#1"]
    owned = [f"file:{shared_bench.target}/new", f"file:{shared_bench.target}/same", f"link:{shared_bench.target}/link"]
    assert sorted(plan["everything"].resources) == sorted([*operations, *owned])


def test_what_owns_nothing_is_counted(plan: dict[str, FoundDeploy]) -> None:
    assert {name: found.unowned for name, found in plan.items()} == {"everything": 2, "nested": 1, "built_in": 0}


def test_a_nested_operation_counts_to_the_outer_one(plan: dict[str, FoundDeploy], shared_bench: Bench) -> None:
    owns = {change.resource: change.owns for change in plan["nested"].changes}
    assert owns == {"op:outer#1": (), "op:Part | greet#1": (f"file:{shared_bench.target}/greeting",)}
    assert f"file:{shared_bench.target}/inner" not in plan["nested"].resources
