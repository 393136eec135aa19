"""What a deploy file's look rested on is told with it, and differs once the host does."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.engine.deploy_trace import DeployTrace
from agent.engine.secrecy import public_trace
from agent.system import mask
from agent.trace.answers import differing
from tests import children
from tests.engine.conftest import TIMEOUT_S, Bench

DEPLOY = """
files.directory(name="folder", path=str(target / "folder"), mode="755")
files.put(name="put", src=StringIO("x\\n"), dest=str(target / "put"), mode="644")
files.line(name="line", path=str(target / "lines"), line="a=1")
files.block(name="block", path=str(target / "block"), content="one")
files.link(name="link", path=str(target / "link"), target="put")
files.sync(name="tree", src="tree", dest=str(target / "tree"), mode="644", dir_mode="755")
files.file(name="gone", path=str(target / "gone"), present=False)
server.user(name="root", user="root", home="/root")
"""
PRIVATE = """
files.put(name="secret", src=StringIO("x\\n"), dest=str(target / "tr\u00f6ub4dor"), mode="644")
files.put(name="beside", src=StringIO("x\\n"), dest=str(target / "beside"), mode="644")
"""
SPOILT: dict[str, Callable[[Path], object]] = {
    "content": lambda target: (target / "put").write_text("y\n"),
    "line": lambda target: (target / "lines").write_text("b=1\n"),
    "block": lambda target: (target / "block").write_text(""),
    "mode": lambda target: (target / "put").chmod(0o600),
    "folder": lambda target: (target / "folder").chmod(0o700),
    "link": lambda target: (target / "other").replace(target / "link"),
    "tree": lambda target: (target / "tree" / "inner" / "file").unlink(),
    "there_again": lambda target: (target / "gone").write_text(""),
}


def traced(bench: Bench) -> dict[str, list[bytes]]:
    found = children.engine(work=bench.work, timeout_s=TIMEOUT_S, traced=True).plan(
        bench.state(), bench.root, frozenset()
    )
    assert [(each.error, each.changes) for each in found] == [(None, ())] * len(found)
    return {each.deploy: each.trace.encode("latin-1").splitlines(keepends=True) for each in found}


@pytest.fixture(scope="module")
def bench(shared_bench: Bench) -> Bench:
    bench = shared_bench
    bench.write("tree/inner/file", "x\n")
    bench.deploy("known", DEPLOY)
    bench.deploy("asks", 'from pyinfra.facts.server import Command\nhost.get_fact(Command, command="true")\n')
    bench.deploy("secret", 'host.run_shell_command("TOKEN=s3cret true --password s3cret")\n')
    bench.deploy("private", PRIVATE)
    bench.deploy("clock", "from pyinfra.facts.server import Date\nhost.get_fact(Date)\n")
    bench.deploy("silent", "target.exists()\n")
    bench.apply()
    (bench.target / "other").symlink_to("lines")
    return bench


@pytest.fixture(scope="module")
def traces(bench: Bench) -> dict[str, list[bytes]]:
    return traced(bench)


def renewed(lines: list[bytes]) -> list[bytes]:
    """A trace as it would be now."""
    now = dict(differing(lines))
    return [line[: line.rindex(b"\t") + 1] + now[line] + b"\n" if line in now else line for line in lines]


def test_a_host_that_nobody_touches_answers_the_same(traces: dict[str, list[bytes]]) -> None:
    assert not any(line.startswith(b"unsigned") for line in traces["known"])
    assert list(differing(traces["known"])) == []


def test_a_question_that_holds_a_secret_waits_for_the_next_plan(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "_values", set())
    monkeypatch.setattr(mask, "_ordered", [])
    mask.remember("tr\u00f6ub4dor")
    lines = traced(bench)["private"]
    assert lines[-1] == b"unsigned\tprivate: it asks about a secret\t\n"
    assert any(line.startswith(b"path\t%s/beside\t" % bytes(bench.target)) for line in lines)
    assert "tr\u00f6ub4dor".encode() not in b"".join(lines)


def test_a_short_value_and_one_in_an_answer_make_no_question_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "_values", set())
    monkeypatch.setattr(mask, "_ordered", [])
    mask.remember_all(("app", "1790"))
    trace = "path\t/etc/app/app.conf\t1790000000 1 - 33188\n"
    assert public_trace("files", trace) == trace


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_spoilt_is_answered_in_another_way(
    bench: Bench, traces: dict[str, list[bytes]], spoil: Callable[[Path], object]
) -> None:
    lines = renewed(traces["known"])
    spoil(bench.target)
    assert list(differing(lines)) != []


@pytest.mark.parametrize(
    ("deploy", "reason"),
    [
        pytest.param("asks", b"it asks true", id="a_command"),
        pytest.param("secret", b"it asks true", id="and_nothing_of_it_that_could_be_secret"),
        pytest.param("clock", b"it asks what time it is", id="the_clock"),
        pytest.param("silent", b"it asks nothing", id="nothing"),
    ],
)
def test_a_question_that_nobody_knows_waits_for_the_next_plan(
    traces: dict[str, list[bytes]], deploy: str, reason: bytes
) -> None:
    assert traces[deploy] == [b"unsigned\t%s: %s\t\n" % (deploy.encode(), reason)]


@pytest.mark.parametrize("unit", ["web@.service", "web@", "*.service", "we?.service", "we[a-z].service"])
def test_a_template_and_a_pattern_are_no_unit_that_systemd_tells_of(unit: str) -> None:
    trace = DeployTrace()
    trace.before(f"systemctl show --all --property Id --property SubState {shlex.quote(unit)}")
    assert trace.text("web").startswith("unsigned\tweb: it asks for a")
