"""The checks of a host at rest, asked beside the daemon."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from agent.checks.ask import AT_ONCE, command
from agent.checks.spec import check_of, model_of
from agent.domain.codec import to_plain
from agent.trace.asking import Asked
from agent.trace.rest import PASSED, Rest, read, write
from tests.checks.test_run import serving
from tests.cli.test_start_up import loaded


def asked(folder: Path, *entries: dict[str, Any]) -> bytes:
    """What the daemon hears."""
    checks = [check_of("web", model_of(entry).model_validate(entry)) for entry in entries]
    write(folder / "rest", Rest(2**40, checks_command=command(checks, folder / "rest"), checks=to_plain(checks)))
    rest = read(folder / "rest")
    assert rest is not None
    assert rest.checks_command is not None
    argv, environment, timeout_s = rest.checks_command
    return subprocess.run(argv, env=environment, timeout=timeout_s, check=True, stdout=subprocess.PIPE).stdout


def test_checks_that_pass_are_told_so_and_one_that_does_not_is_named(tmp_path: Path) -> None:
    here = {"file": f"{tmp_path}"}
    with serving() as port:
        well = {"http": f"http://127.0.0.1:{port}/", "status": [200, 204], "contains": "well"}
        assert asked(tmp_path, here, well) == PASSED
        assert asked(tmp_path, here, {**well, "contains": "ill"}).startswith(b"web: http http://127.0.0.1")
    assert b"refused" in asked(tmp_path, {"tcp": f"127.0.0.1:{port}"}, here)


def test_as_many_servers_as_are_asked_at_once_fit_into_what_the_daemon_allows(tmp_path: Path) -> None:
    with serving() as port:
        checks = [
            check_of("web", model_of(entry).model_validate(entry))
            for entry in [{"http": f"http://127.0.0.1:{port}/soon"}] * (2 * AT_ONCE)
        ]
        probe = command(checks, tmp_path / "rest")
        write(tmp_path / "rest", Rest(2**40, checks_command=probe, checks=to_plain(checks)))
        asked = Asked(*probe)
        while (answer := asked.answer()) is None:  # it gives up itself
            time.sleep(0.05)
    assert answer == PASSED


def test_asking_loads_neither_the_models_of_checks_nor_what_only_others_need() -> None:
    program = "agent.checks.ask, agent.checks.network, agent.checks.look"
    assert loaded(*program.split(", ")) == ["ssl"]
