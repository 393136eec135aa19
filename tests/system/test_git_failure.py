"""The line and the hint that a person gets of what git and ssh wrote: real outputs, in the folder ``said_by_git`` with
what made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.system.git_failure import failure
from agent.system.process import Completed

SAID = Path(__file__).parent / "said_by_git"

TOLD = {
    "disk-full": ("disk-full", "write error: No space left on device"),
    "evil-tree": ("bad-objects", "hasDotgit: contains '.git'"),
    "file-no-repository": ("source-unreachable", "'/srv/none.git' does not appear to be a git repository"),
    "http-301": ("source-unreachable", "The requested URL returned error: 301"),
    "http-403": ("auth-refused", "The requested URL returned error: 403"),
    "http-503": ("source-unreachable", "The requested URL returned error: 503"),
    "http-damaged": ("transfer-damaged", "inflate"),
    "http-empty": ("source-unreachable", "Empty reply from server"),
    "http-endless": ("bad-answer", "Out of memory"),
    "http-garbage": ("bad-answer", "Received HTTP/0.9 when not allowed"),
    "http-no-password": ("auth-refused", "127.0.0.1:2222"),
    "http-no-repository": ("source-unreachable", "repository 'http://127.0.0.1:2222/none.git/' not found"),
    "http-no-such-host": ("source-unreachable", "Could not resolve host: git.invalid"),
    "http-refused": ("source-unreachable", "Failed to connect to 127.0.0.1 port 2222"),
    "http-wrong-password": ("auth-refused", "127.0.0.1:2222"),
    "https-self-signed": ("source-unreachable", "server certificate verification failed"),
    "no-such-branch": ("branch-missing", "couldn't find remote ref refs/heads/none"),
    "ssh-closed": ("source-unreachable", "kex_exchange_identification: Connection closed by remote host"),
    "ssh-host-key-changed": ("host-key-mismatch", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
    "ssh-host-key-unknown": ("host-key-unknown", "No ED25519 host key is known for [127.0.0.1]:2222"),
    "ssh-no-key": ("auth-refused", "Permission denied (publickey)"),
    "ssh-no-repository": ("source-unreachable", "'/srv/none.git' does not appear to be a git repository"),
    "ssh-no-such-host": ("source-unreachable", "Could not resolve hostname git.invalid"),
    "ssh-refused": ("source-unreachable", "Connection refused"),
    "ssh-silent": ("timeout", "Connection timed out during banner exchange"),
}

RIGHTS = (
    "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n"
    "and the repository exists.\n"
)
AS_QUOTED = [
    (f"ERROR: Repository not found.\n{RIGHTS}", "source-unreachable", "Repository not found"),
    (
        "remote: \nremote: ========================================================================\nremote: \n"
        "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n"
        f"remote: \nremote: \n{RIGHTS}",
        "source-unreachable",
        "The project you were looking for could not be found",
    ),
    (f"ssh: connect to host 10.0.0.1 port 22: Connection timed out\n{RIGHTS}", "timeout", "Connection timed out"),
    (f"ssh: connect to host 10.0.0.1 port 22: No route to host\n{RIGHTS}", "source-unreachable", "No route to host"),
]
"""What takes a forge, or a network beyond this machine: not recorded, but written down as people quote it."""


def kept(name: str) -> str:
    return (SAID / f"{name}.txt").read_text().partition("--- stderr\n")[2]


def test_each_recorded_refusal_is_judged_here() -> None:
    assert {path.stem for path in SAID.glob("*.txt")} == TOLD.keys()


CASES = [*((kept(name), *told) for name, told in TOLD.items()), *AS_QUOTED]


@pytest.mark.parametrize(("said", "kind", "line"), CASES, ids=[*TOLD, *(line for _, _, line in AS_QUOTED)])
def test_the_line_that_says_why_is_the_one_that_is_told(said: str, kind: str, line: str) -> None:
    found = failure(Completed(128, b"", said.encode()), "git@git.example.org:x.git")
    assert found.kind == kind
    assert line in found.message
    assert "correct access rights" not in found.message
    assert found.hint
