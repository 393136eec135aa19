"""Transient failures, which pass by themselves: a mirror that is away, a lock that somebody else holds, a full disk.
They say nothing about the commit that was applied just then. Pure.

They are known by their text alone: that of libc, apt, dnf, curl, git, pip and podman, and ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.domain.outcome import DeployOutcome

_NETWORK = (
    r"temporary failure|could not resolve|couldn't resolve|name or service not known|nodename nor servname"
    r"|no address associated|name resolution|network is (unreachable|down)|no route to host|host is (unreachable|down)"
    r"|connection (refused|reset|aborted|timed out|closed)|connect(ion)? timeout|timed out|unable to connect"
    r"|could(n't| not) connect|failed to connect|cannot be reached|no answer within|failed to fetch|cannot download"
    r"|remote end (hung up|closed)|unexpected end of file|early eof|hash sum mismatch|file has unexpected size"
    r"|\b(408|429|500|502|503|504)\b.{0,30}(error|gateway|unavailable|timeout|too many|internal)"
    r"|(error|status|returned|http)[ :]+(code )?(408|429|5\d\d)\b"
)
_BUSY = (
    r"could not get lock|unable to (lock|acquire)|lock(ed)? (is )?held by|is locked by|waiting for cache lock"
    r"|resource temporarily unavailable|device or resource busy|text file busy"
)
_ROOM = (
    r"no space left|not enough (free )?(disk )?space|disk quota exceeded|read-only file system|input/output error"
    r"|cannot allocate memory|out of memory|too many open files"
)
_TRANSIENT = re.compile(f"{_NETWORK}|{_BUSY}|{_ROOM}", re.IGNORECASE)

_NUMBER = re.compile(r"\d+")


def is_transient(outcome: DeployOutcome, runs: Callable[[str], bool]) -> bool:
    """True if every failure of this deploy may end by itself.

    ``runs``: True for the key of a resource that runs, such as a unit. Its failures never count as transient: a program
    that does not start often complains about the network (an address in use, an upstream without a name), and all the
    same the commit is to blame."""
    failed = [result for result in outcome.results if not result.succeeded]
    if not failed:
        return _TRANSIENT.search(outcome.error) is not None
    return all(not runs(result.resource) and _TRANSIENT.search(result.error) is not None for result in failed)


def same_failure(one: str, other: str) -> bool:
    """True if two errors say the same. Numbers are ignored: they may be the milliseconds that something took."""
    return _first(one) == _first(other)


def _first(error: str) -> str:
    return _NUMBER.sub("#", error.partition("\n")[0])[:200]
