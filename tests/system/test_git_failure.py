"""What git, ssh and the forges really write, and the one line and the hint that a person gets of it."""

from __future__ import annotations

import pytest

from agent.system.git_failure import known_failure
from agent.system.process import Completed

RIGHTS = (
    "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n"
    "and the repository exists.\n"
)
SAID = [
    (f"git@github.com: Permission denied (publickey).\n{RIGHTS}", "auth-refused", "Permission denied (publickey)"),
    (f"ERROR: Repository not found.\n{RIGHTS}", "source-unreachable", "Repository not found"),
    (
        "remote: \nremote: ========================================================================\nremote: \n"
        "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n"
        f"remote: \nremote: \n{RIGHTS}",
        "source-unreachable",
        "The project you were looking for could not be found",
    ),
    (
        f"ssh: Could not resolve hostname git.example.org: Name or service not known\n{RIGHTS}",
        "source-unreachable",
        "Could not resolve hostname",
    ),
    (f"ssh: connect to host 10.0.0.1 port 22: Connection timed out\n{RIGHTS}", "timeout", "Connection timed out"),
    (f"ssh: connect to host 10.0.0.1 port 22: No route to host\n{RIGHTS}", "source-unreachable", "No route to host"),
    (
        f"kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 port 22\n{RIGHTS}",
        "source-unreachable",
        "Connection reset by peer",
    ),
    (
        "@@@@@@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@@@@@@@\n"
        f"IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\nHost key verification failed.\n{RIGHTS}",
        "host-key-mismatch",
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
    ),
    (
        "No ED25519 host key is known for git.example.org and you have requested strict checking.\n"
        f"Host key verification failed.\n{RIGHTS}",
        "host-key-unknown",
        "No ED25519 host key is known",
    ),
    (
        "fatal: unable to access 'https://git.example.org/x.git/': SSL certificate problem: self-signed certificate\n",
        "source-unreachable",
        "self-signed certificate",
    ),
    (
        "fatal: unable to access 'https://git.example.org/x.git/': The requested URL returned error: 403\n",
        "auth-refused",
        "error: 403",
    ),
    (
        "fatal: unable to access 'https://git.example.org/x.git/': Could not resolve host: git.example.org\n",
        "source-unreachable",
        "Could not resolve host",
    ),
    ("remote: Not Found\nfatal: repository 'https://x.org/x.git/' not found\n", "source-unreachable", "not found"),
    ("fatal: couldn't find remote ref refs/heads/main\n", "branch-missing", "refs/heads/main"),
    ("fatal: write error: No space left on device\nfatal: index-pack failed\n", "disk-full", "No space left"),
    (
        "error: object 1234567: hasDotgit: contains '.git'\nfatal: fsck error in pack\n",
        "bad-objects",
        "1234567",
    ),
    ("fatal: pack is corrupted (SHA1 mismatch)\nfatal: index-pack failed\n", "transfer-damaged", "SHA1 mismatch"),
]


@pytest.mark.parametrize(("said", "kind", "line"), SAID, ids=[line for _, _, line in SAID])
def test_the_line_that_says_why_is_the_one_that_is_told(said: str, kind: str, line: str) -> None:
    found = known_failure(Completed(128, b"", said.encode()), "git@git.example.org:x.git", 120)
    assert found is not None
    assert found.kind == kind
    assert line in found.message
    assert "correct access rights" not in found.message
    assert found.hint
