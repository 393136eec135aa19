"""What a cycle leaves for the daemon, as a file that anything may have become of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.trace.rest import Rest, read, write

COMMAND = ["git"], {"PATH": "/bin"}, 120
REST = Rest(2**40, fetch_s=5, watch=True, remote_command=COMMAND, offered="aaa\trefs/heads/main")


def test_the_daemon_reads_what_a_cycle_wrote(tmp_path: Path) -> None:
    write(tmp_path / "rest", REST, "path\t/\t-\n")
    assert json.dumps(vars(read(tmp_path / "rest"))) == json.dumps(vars(REST))


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": 1e400},
        {"until": None},
        {"until": "2"},
        {"drift_s": None},
        {"fetch_s": "x"},
        {"plan_s": 0.5},
        {"watch": 1},
        {"offered": ["aaa"]},
        {"remote_command": "git"},
        {"remote_command": ["git", {}, 1]},
        {"remote_command": [["git", 1], {}, 1]},
        {"remote_command": [["git"], {"PATH": None}, 1]},
        {"remote_command": [["git"], {}, 10**20]},
        {"tip": "of an older version"},
    ],
    ids=json.dumps,
)
def test_a_field_of_another_type_leaves_a_host_that_is_not_at_rest(tmp_path: Path, wrong: dict[str, object]) -> None:
    (tmp_path / "rest").write_text(json.dumps(vars(REST) | wrong) + "\n")
    assert read(tmp_path / "rest") is None


@pytest.mark.parametrize("content", [b"", b"\xff{", b"1", b'"until"', b"[" * 100_000], ids=range(5))
def test_what_is_no_object_leaves_a_host_that_is_not_at_rest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rest").write_bytes(content)
    assert read(tmp_path / "rest") is None
