"""Built-in deploys as operations in a deploy file: through the engine, and with plain pyinfra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyinfra.api.config import Config
from pyinfra.api.exceptions import OperationError
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.context import ctx_host, ctx_state

from agent.deploys import operations
from agent.domain.outcome import Status
from agent.engine.client import Execute
from tests.engine.conftest import Bench

CODE = """
from agent.deploys.operations import files as ours
ours({f"{target}/app.conf": {"template": "app.conf.j2"}, f"{target}/plain": {"content": "plain\\n"}})
"""


@pytest.fixture
def app(bench: Bench) -> Bench:
    bench.write("app.conf.j2", "port = {{ port }}\n")
    bench.deploy("app", CODE, port=8080)
    return bench


def keys(bench: Bench) -> list[str]:
    return [f"file:{bench.target}/{name}" for name in ("app.conf", "plain")]


def test_an_operation_is_planned_and_made_change_by_change(app: Bench) -> None:
    found = app.plan()["app"]
    assert found.error is None
    assert [change.resource for change in found.changes] == keys(app)
    outcome = app.apply(decide=lambda _found: Execute(frozenset(keys(app)[:1])))["app"]
    assert (outcome.status, [result.resource for result in outcome.results]) == (Status.DONE, keys(app)[:1])
    assert (app.target / "app.conf").read_text() == "port = 8080\n"
    assert not (app.target / "plain").exists()


def test_what_is_in_sync_is_owned_all_the_same(app: Bench) -> None:
    app.apply()
    found = app.plan()["app"]
    assert (found.changes, found.unowned) == ((), 0)
    assert set(keys(app)) <= set(found.resources)
    assert not any(key.startswith("op:") for key in found.resources)


def test_what_an_operation_does_not_take_is_told_with_its_place(bench: Bench) -> None:
    bench.deploy("app", "from agent.deploys.operations import services\nservices({'nginx': {'runing': True}})\n")
    told = bench.plan()["app"].error or ""
    assert told.startswith("deploys/app.py:")
    assert "services: units.nginx.runing: there is no such key" in told


def test_a_template_that_asks_for_what_is_not_there_is_told(bench: Bench) -> None:
    bench.write("app.conf.j2", "port = {{ port }}\n")
    bench.deploy("app", CODE)
    assert "app.conf.j2 cannot be rendered: 'port' is undefined" in (bench.plan()["app"].error or "")


def test_plain_pyinfra_makes_it_and_then_finds_nothing_to_do(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "page.j2").write_text("{{ greeting }}\n")
    (tmp_path / "deploy.py").write_text(
        "from agent.deploys.operations import files\n"
        f"page, below = '{target}/page', '{target}/none/x'\n"
        "files({page: {'template': 'page.j2'}, below: {'content': ''}})\n"
    )
    (target / "none").symlink_to("/nowhere-at-all")
    argv = [str(Path(sys.executable).with_name("pyinfra")), "@local", "--data", "greeting=hello", "-y", "deploy.py"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert f"file:{target}/none/x: " in done.stderr
    assert (target / "page").read_text() == "hello\n"
    (target / "none").unlink()
    for expected in ("Success", "No changes"):
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        assert expected in done.stderr + done.stdout


def test_a_host_that_is_not_this_one_is_refused() -> None:
    inventory = Inventory((["elsewhere.example"], {}))
    state = State(inventory, Config())
    (host,) = inventory
    with ctx_state.use(state), ctx_host.use(host), pytest.raises(OperationError, match="use it with @local"):
        operations.files({})


def test_a_later_operation_sees_what_an_earlier_one_changed(bench: Bench) -> None:
    bench.deploy(
        "chain",
        """
        from agent.deploys.operations import files as ours
        files.file(name="Take the old one away", path=f"{target}/page", present=False)
        ours({f"{target}/page": {"content": "new\\n"}})
        """,
    )
    (bench.target / "page").write_text("new\n")
    found = bench.plan()["chain"]
    assert [change.resource for change in found.changes] == ["op:Take the old one away#1"]
    assert bench.apply()["chain"].status is Status.DONE
    assert (bench.target / "page").read_text() == "new\n"
