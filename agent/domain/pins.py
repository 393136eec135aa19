"""Pins: exactly which bytes a name in an inventory stands for, as ``hostwright lock`` found them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.domain.address import Address
from agent.errors import InventoryError
from agent.problems import ProblemKind

_LOCK = "run `hostwright lock` in the config repo"


TOOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Of a tool, which becomes a folder on the host, and of a command."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One download: where it lies and what it must be (sha256, 64 hex digits; size in bytes).

    ``bin``: where this one holds the commands, if elsewhere than ``ToolPin.bin`` says.
    """

    url: str
    sha256: str
    size: int
    bin: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ToolPin:
    """One tool at one version: either ``assets`` by platform, or Python ``requirements``, each line with its hashes.

    A platform is ``linux-<machine>`` as uname says it, in lower case: ``linux-x86_64``, ``linux-aarch64``. ``bin``
    maps each command that people type to where it lies: a path in the archive (for a single binary its own name), or
    the name of a script of the Python environment.
    """

    name: str
    version: str
    bin: Mapping[str, str]
    assets: Mapping[str, Asset] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentPin:
    """The agent itself at one version: all that its environment is made of, each line with its hashes."""

    version: str
    requirements: tuple[str, ...]

    @property
    def lock(self) -> bytes:
        """As pip reads it."""
        return "".join(f"{line}\n" for line in self.requirements).encode()

    @property
    def digest(self) -> str:
        """sha256 of the lock, which host/environment.py computes too."""
        return hashlib.sha256(self.lock).hexdigest()

    @property
    def name(self) -> str:
        """The name of its environment: the same version with other bytes is another one."""
        return f"{self.version}-{self.digest[:8]}"


@dataclass(frozen=True, slots=True)
class SecretPin:
    """One file of secrets: its sha256, and whom it was made for, names by recipient. ``left``: who could read the value
    that it has now and is no reader any more."""

    sha256: str
    recipients: Mapping[str, str] = field(hash=False)
    left: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class RepositoryPin:
    """Another Git repository at one commit. ``url`` and ``ref`` are what was asked for (``domain.address``); ``tree``
    is the sha256 digest over all files of that commit (``domain.tree.tree_digest``), so that a pin does not rest on
    sha1. ``left_out``: what of that commit is not among them, in words."""

    url: str
    ref: str
    commit: str
    tree: str
    left_out: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        return Address(self.url, self.ref)


def left_out(pins: Iterable[RepositoryPin]) -> tuple[str, ...]:
    """The parts of these repositories that hosts do not have, in words."""
    return tuple(sorted(f"{pin.address.pinned}: {name}" for pin in pins for name in pin.left_out))


@dataclass(frozen=True, slots=True)
class Pins:
    """lock.yaml. Repositories by ``Address.pinned`` (``git+ssh://…/repo.git@ref``).

    ``behind``: by tool, why what lock.yaml says of it is not what tools.yaml asks for; those are not in ``tools``.
    """

    tools: Mapping[str, ToolPin] = field(default_factory=dict)
    repositories: Mapping[str, RepositoryPin] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)

    def tool(self, name: str) -> ToolPin:
        """Raises InventoryError, kind ``not-locked``."""
        if name not in self.tools:
            why = self.behind.get(name, f'tools.yaml has no tool "{name}"')
            raise InventoryError(
                why, kind=ProblemKind.NOT_LOCKED, hint=_LOCK if name in self.behind else "describe it there"
            )
        return self.tools[name]

    def repository(self, address: Address) -> RepositoryPin:
        """Raises InventoryError, kind ``not-locked``."""
        if address.pinned not in self.repositories:
            raise InventoryError(f"lock.yaml has no pin for {address.pinned}", kind=ProblemKind.NOT_LOCKED, hint=_LOCK)
        return self.repositories[address.pinned]
