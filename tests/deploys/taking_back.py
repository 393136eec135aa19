"""A booted host whose resources are looked at, taken away and given back, one call at a time, without a cycle.

kinds.remember("user:ann")        before the agent changes it
deploys.converge(…)               the agent changes it
kinds.settle("user:ann")          what the agent left
kinds.remove("user:ann")          or restore
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.deploys.on_host import Script
from tests.lab.host import Host


class Kinds:
    def __init__(self, host: Host) -> None:
        self._driver = Script(host, "taking_back_driver.py")
        self._before: dict[str, Any] = {}
        self._left: dict[str, Any] = {}

    def look(self, key: str) -> dict[str, Any] | None:
        """The state, None for nothing."""
        seen = self._call("look", [key])
        return None if seen is None else seen["state"]

    def remember(self, *keys: str) -> None:
        self._before |= {key: self._call("look", [key]) for key in keys}

    def settle(self, *keys: str) -> None:
        self._left |= {key: self._call("look", [key]) for key in keys}

    def changed(self, key: str) -> str:
        told: str = self._call("changed", [key], left=self._left[key])
        return told

    def remove(self, *keys: str, purge: bool = False, wanted: Sequence[str] = ()) -> dict[str, str]:
        told: dict[str, str] = self._call("remove", list(keys), purge=purge, wanted=list(wanted))
        return told

    def release(self, key: str) -> None:
        self._call("release", [key])

    def restore(self, key: str) -> str:
        """Why it could not be given back; empty where it was."""
        told: str = self._call("restore", [key], before=self._before[key], left=self._left.get(key, "unsettled"))
        return told

    def _call(self, call: str, keys: list[str], **order: Any) -> Any:
        return self._driver.ask({"call": call, "keys": keys, **order})
