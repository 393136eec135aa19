"""Pins: the exact bytes that a name in an inventory stands for, as ``hostwright lock`` found them."""

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
"""The name of a tool, which is also that of its folder on the host, or of a command."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One download: its URL, and what it must be (sha256, 64 hex digits; size in bytes).

    ``bin``: the places of the commands in this one, where they differ from ``ToolPin.bin``.
    """

    url: str
    sha256: str
    size: int
    bin: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ToolPin:
    """One tool at one version: either ``assets`` by platform, or Python ``requirements``, each line with its hashes.

    A platform is ``linux-<machine>`` as uname says it, in lower case: ``linux-x86_64``, ``linux-aarch64``. ``bin``: by
    command that people type, its path in the archive (for a single binary the binary's name), or the name of a script
    of the Python environment.
    """

    name: str
    version: str
    bin: Mapping[str, str]
    assets: Mapping[str, Asset] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentPin:
    """The agent itself at one version. ``requirements``: all packages of its environment, each line with its hashes."""

    version: str
    requirements: tuple[str, ...]

    @property
    def lock(self) -> bytes:
        """The requirements as one file for pip."""
        return "".join(f"{line}\n" for line in self.requirements).encode()

    @property
    def digest(self) -> str:
        """sha256 of the lock in hex; ``host/environment.py`` computes it the same way."""
        return hashlib.sha256(self.lock).hexdigest()

    @property
    def name(self) -> str:
        """The name of its environment. It differs for the same version with other packages."""
        return f"{self.version}-{self.digest[:8]}"


@dataclass(frozen=True, slots=True)
class SecretPin:
    """One file of secrets: its sha256, and the names of its readers by recipient. ``left``: those who could read the
    present value and are no readers any more."""

    sha256: str
    recipients: Mapping[str, str] = field(hash=False)
    left: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class RepositoryPin:
    """Another Git repository at one commit. ``url`` and ``ref``: as the inventory names it (``domain.address``).
    ``tree``: the sha256 digest over all files of the commit (``domain.tree.tree_digest``), so that a pin does not rest
    on sha1. ``left_out``: the parts of the commit that hosts do not get, in words."""

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
    """The content of lock.yaml. ``repositories``: by ``Address.pinned`` (``git+ssh://…/repo.git@ref``).

    ``behind``: the tools whose pin is not what tools.yaml asks for, each with the reason. They are not in ``tools``.
    """

    tools: Mapping[str, ToolPin] = field(default_factory=dict)
    repositories: Mapping[str, RepositoryPin] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)

    def tool(self, name: str) -> ToolPin:
        """The pin of a tool. Raises InventoryError, kind ``not-locked``, without one that is up to date."""
        if name not in self.tools:
            why = self.behind.get(name, f'tools.yaml has no tool "{name}"')
            raise InventoryError(
                why, kind=ProblemKind.NOT_LOCKED, hint=_LOCK if name in self.behind else "describe it there"
            )
        return self.tools[name]

    def repository(self, address: Address) -> RepositoryPin:
        """The pin of another repository. Raises InventoryError, kind ``not-locked``, without one."""
        if address.pinned not in self.repositories:
            raise InventoryError(f"lock.yaml has no pin for {address.pinned}", kind=ProblemKind.NOT_LOCKED, hint=_LOCK)
        return self.repositories[address.pinned]
