"""What a remote offers, asked beside the daemon."""

from __future__ import annotations

import os
import time

import pytest

from agent.steps.meant import takes_reports
from agent.trace.asking import Asked
from agent.trace.rest import ANSWER_MOST, offered

ENVIRONMENT = {"PATH": os.defpath}


def answer(*argv: str, timeout_s: float = 20) -> bytes:
    asked = Asked(argv, ENVIRONMENT, timeout_s)
    while (found := asked.answer()) is None:
        time.sleep(0.01)
    return found


def test_the_output_of_the_program_is_the_answer() -> None:
    assert answer("echo", "refs") == b"refs\n"


def test_a_program_that_fails_or_does_not_end_has_no_answer() -> None:
    assert answer("sh", "-c", "echo refs; false") == b""
    assert answer("sleep", "600", timeout_s=0.2) == b""


def test_a_program_that_writes_without_end_is_ended() -> None:
    assert len(answer("cat", "/dev/zero")) <= ANSWER_MOST


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        Asked(["no-such-program"], ENVIRONMENT, 1)


@pytest.mark.parametrize("branch", ["main", "status", "status-0a", "status2", "feature/status", "state"])
def test_branches_that_hosts_report_to_are_no_offer(branch: str) -> None:
    line = f"{'a' * 40}\trefs/heads/{branch}".encode()
    assert offered(line + b"\n") == ("" if takes_reports(branch) else line.decode())
