"""What every test gets: a machine that it cannot harm, and, if it asks for ``lab``, machines that it may."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import socketserver
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.configuration
import pytest

from agent.engine import forked
from agent.system.git_session import Session
from tests import drawing, failure, messages
from tests.cost import Cost
from tests.guard import Guard
from tests.lab import images
from tests.lab.host import Host
from tests.lab.lab import Lab, missing

GIT_CONFIG = """\
[user]
	name = A Test
	email = test@example.org
[init]
	defaultBranch = main
[commit]
	gpgSign = false
[gc]
	auto = 0
"""

FOREIGN = ("GIT_", "SSH_", "XDG_", "PYINFRA_", "HOSTWRIGHT_", "ANSIBLE_")
"""Prefixes of variables by which the person who runs the tests would change what they see."""


_tell_of = socketserver.BaseServer.handle_error


def _tell_of_faults(server: socketserver.BaseServer, request: Any, client: Any) -> None:
    """A client that left is no fault of a test's server, whose thread would tell of it in a later test's output."""
    if not isinstance(sys.exc_info()[1], ConnectionError):
        _tell_of(server, request, client)


socketserver.BaseServer.handle_error = _tell_of_faults  # type: ignore[method-assign]

_GUARD = pytest.StashKey[Guard]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked `long`")
    said = "begin each command on a host so much later: what a test leaves to the speed of the machine fails"
    parser.addoption("--late", type=float, default=0.0, metavar="SECONDS", help=said)


def pytest_configure(config: pytest.Config) -> None:
    drawing.load_profile(long=config.getoption("--long"))
    config.addinivalue_line("markers", "long: takes minutes; runs with --long (bash tests/run --long)")
    config.pluginmanager.register(Cost())
    messages.register(config)
    if late_s := config.getoption("--late"):
        run = Host.run
        Host.run = lambda *given, **named: time.sleep(late_s) or run(*given, **named)  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Collect all tests without a search for garbage: nothing of them goes before the end. Later searches leave them
    out, too."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let each worker compile another part of the tests before it collects all of them. In a new clone they are
    compiled with asserts rewritten, which takes 10 CPU seconds; together the workers would all do the same file."""
    if (worker := getattr(session.config, "workerinput", None)) and not sys.dont_write_bytecode:
        named = [Path(argument.partition("::")[0]).absolute() for argument in session.config.args]
        files = sorted(file for path in named for file in (path.rglob("test_*.py") if path.is_dir() else [path]))
        for file in files[int(worker["workerid"][2:]) :: worker["workercount"]]:
            # What cannot be imported is told when it is collected
            with contextlib.suppress(Exception, pytest.skip.Exception):
                importlib.import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


LONGEST_FIRST = (
    "tests/bootstrap/test_update.py",
    "tests/bootstrap/test_install.py",
    "tests/stories/test_example.py",
    "tests/bootstrap/test_refusals.py",
    "tests/stories/test_life_cycle.py",
    "tests/faults/test_nasty_deploys.py",
    "tests/stories/test_windows.py",
    "tests/stories/test_prune.py",
    "tests/stories/test_uninstall.py",
    "tests/stories/test_secrets.py",
    "tests/stories/test_desk.py",
    "tests/stories/test_tutorial.py",
    "tests/stories/test_unattended.py",
    "tests/faults/test_remotes.py",
    "tests/faults/test_kill.py",
    "tests/stories/test_repetition.py",
    "tests/bootstrap/test_rescue.py",
    "tests/stories/test_follow.py",
    "tests/deploys/users/test_on_host.py",
    "tests/deploys/services/test_on_host.py",
    "tests/stories/test_failures.py",
    "tests/stories/test_broken_web_server.py",
    "tests/stories/test_rollback.py",
    "tests/stories/test_trust.py",
    "tests/faults/test_power.py",
    "tests/faults/test_disk.py",
    "tests/faults/test_daemon.py",
    "tests/test_daemon.py",
)
"""Files that take more than fifteen seconds: what begins last is to be short, for the other workers wait for it."""


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


BOOTED_UNTIL = 0.5
"""The part of all files behind the long ones among which those are that boot hosts. A host waits, some for a minute:
between those files, and behind them, stand others that take the cores alone."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    place: dict[str, float] = {file: number - len(LONGEST_FIRST) for number, file in enumerate(LONGEST_FIRST)}
    booting = dict.fromkeys(_file_of(item) for item in items if "lab" in getattr(item, "fixturenames", ()))
    others = dict.fromkeys(_file_of(item) for item in items if _file_of(item) not in booting)
    for files, until in ((booting, BOOTED_UNTIL), (others, 1.0)):
        for number, file in enumerate(files):
            place.setdefault(file, until * number / len(files))
    items.sort(key=lambda item: place[_file_of(item)])
    unusable = missing()
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.booted)
            if unusable:
                item.add_marker(pytest.mark.skip(reason=unusable))
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="long form: bash tests/run --long"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """Add to a failure what the hosts of the test say: after it they are gone."""
    report: pytest.TestReport = yield
    if report.failed:
        # The time of the test is over; looking around has its own limit
        item.config.hook.pytest_timeout_cancel_timer(item=item)
        report.sections += failure.sections(item)
    return report


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Boots hosts; what uses it is ``booted``, and skipped with the reason where it cannot."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(scope="session", autouse=True)
def _tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hypothesis keeps its tables of Unicode beside what Python compiled: to make them takes each worker a second. No
    run keeps examples (``drawing``)."""
    kept = Path(sys.pycache_prefix, "hypothesis") if sys.pycache_prefix else tmp_path_factory.mktemp("hypothesis")
    hypothesis.configuration.set_hypothesis_home_dir(kept)


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Guard:
    compiled = [Path(sys.pycache_prefix)] if sys.pycache_prefix else []
    guard = Guard([tmp_path_factory.getbasetemp(), images.CACHE, *compiled])
    pytestconfig.stash[_GUARD] = guard
    return guard


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let pytest write its cache, also after ^C in the middle of a test."""
    if _GUARD in session.config.stash:
        session.config.stash[_GUARD].on = False


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The only variables that tests and their child processes see, besides neutral ones of the machine."""
    home = tmp_path_factory.mktemp("home")
    git_config = home / "gitconfig"
    git_config.write_text(GIT_CONFIG)
    own = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "GIT_CONFIG_GLOBAL": str(git_config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "TMPDIR": str(tmp_path_factory.mktemp("scratch")),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
    neutral = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return neutral | own


@pytest.fixture(autouse=True)
def isolated(
    guard: Guard, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A home, a working folder and an environment of the test's own; writing anywhere else fails it."""
    found = dict(os.environ)
    for name in found.keys() - environment.keys() - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    # Only what differs: to set all of them again and back takes a tenth of what pytest takes for a test
    for name, value in environment.items() - found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    # A fork would have the guard with it, which knows no paths below open folders. Hosts of the lab fork.
    monkeypatch.setattr(forked, "may_fork", lambda: False)
    monkeypatch.chdir(tmp_path)
    guard.refused.clear()
    guard.on = True
    yield
    guard.on = False
    assert not guard.refused, f"refused, and swallowed by the code under test: {guard.refused}"


@pytest.fixture(autouse=True)
def _no_git_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ends the git of each session that the test began: without this some hundred of them wait for a worker's end. A
    session that lives on starts another."""
    begun: list[Session] = []
    of = Session.of

    def noted(*arguments: Any) -> Session:
        begun.append(of(*arguments))
        return begun[-1]

    monkeypatch.setattr(Session, "of", noted)
    yield
    for session in begun:
        session.clear_cache()
