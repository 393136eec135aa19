"""A new lock for an inventory: pins that are still right stay, the others are looked up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.domain.address import Address
from agent.domain.pins import AgentPin
from agent.errors import HostwrightError, InventoryError, UsageError
from agent.host.repositories import Repositories
from agent.inventory.complaint import nearest
from agent.inventory.lint.external_deploys import require_runnable
from agent.inventory.lock import AGENT, Lock
from agent.inventory.tools import ArchiveTool, DeclaredTool, PythonTool
from agent.pinning.archives import pin_archive
from agent.pinning.python import pin_python, require_named_index
from agent.system.download import OnProgress

OF_HOSTS = f"{AGENT}[host]"
"""The agent's name with the extra ``host``, for uv in place of ``AGENT``: managed hosts need the libraries of it."""

_LookUp = Callable[..., Lock]


class Renewal:
    """The making of one lock. ``addresses``: other repositories; an address with a path means a deploy file there.
    ``work``: a private folder. ``progress_of``: returns, by the name of the pin that is looked up now, the function
    that is told of the progress. ``agent``: the agent itself; None unless fleet.yaml asks for a version of it."""

    def __init__(
        self,
        tools: Mapping[str, DeclaredTool],
        addresses: Collection[Address],
        *,
        repositories: Repositories,
        work: Path,
        progress_of: Callable[[str], OnProgress],
        agent: PythonTool | None = None,
    ) -> None:
        self._tools = tools
        self._addresses = sorted(addresses, key=str)
        self._repositories = repositories
        self._work = work
        self._progress_of = progress_of
        self._agent = agent
        self.failures: list[HostwrightError] = []
        """The errors met by ``everything`` or ``only``. A tool or repository that could not be pinned keeps its old
        pin, if it has one; the others are pinned all the same."""

    def everything(self, old: Lock) -> Lock:
        """A lock with all that the inventory asks for, and nothing else. Pins of ``old`` stay if the inventory asks for
        an exact version, and for the same as before."""
        pinned = dict.fromkeys(address.pinned for address in self._addresses)
        tools = [tool for _, tool in sorted(self._tools.items())]
        asked_for = Lock(
            {name: pin for name, pin in old.tools.items() if name in self._tools},
            {name: pin for name, pin in old.repositories.items() if name in pinned},
            {name: asked for name, asked in old.asked.items() if name in self._tools},
            old.agent if self._agent is not None else None,
            old.agent_asked if self._agent is not None else None,
        )
        look_ups = [partial(self._tool, tool) for tool in tools] + [partial(self._repository, name) for name in pinned]
        return self._renewed(asked_for, [self._own, *look_ups], keep=True)

    def only(self, old: Lock, names: Collection[str]) -> Lock:
        """``old`` with the tools and repositories called ``names`` looked up anew. Raises UsageError for a name that
        the inventory does not have."""
        known: dict[str, _LookUp] = {
            address.pinned: partial(self._repository, address.pinned) for address in self._addresses
        }
        known |= {AGENT: self._own} if self._agent is not None else {}
        known |= {name: partial(self._tool, tool) for name, tool in self._tools.items()}
        for name in names:
            if name not in known:
                hint = nearest(name, known, otherwise="name tools of tools.yaml or repositories of site.yaml")
                raise UsageError(f'there is nothing called "{name}" to lock', hint=hint)
        return self._renewed(old, [known[name] for name in names], keep=False)

    def _renewed(self, lock: Lock, look_ups: Iterable[_LookUp], *, keep: bool) -> Lock:
        for look_up in look_ups:
            try:
                lock = look_up(lock, keep=keep)
            except HostwrightError as error:
                self.failures.append(error)
        return lock

    # Each returns the lock with one pin looked up. With ``keep``, a pin that is exact and still asked for stays.

    def _own(self, lock: Lock, *, keep: bool) -> Lock:
        if self._agent is None or (keep and self._agent.exact and lock.agent_asked == self._agent.requirement):
            return lock
        self._progress_of(AGENT)
        require_named_index()
        asked = self._agent.requirement
        found = pin_python(replace(self._agent, requirement=asked.replace(AGENT, OF_HOSTS, 1)), self._work)
        lines = tuple(line.replace(OF_HOSTS, AGENT, 1) for line in found.requirements)
        return replace(lock, agent=AgentPin(found.version, lines), agent_asked=asked)

    def _tool(self, tool: DeclaredTool, lock: Lock, *, keep: bool) -> Lock:
        if keep and tool.exact and not lock.behind(tool):
            return lock
        asked = {name: asked for name, asked in lock.asked.items() if name != tool.name}
        if isinstance(tool, ArchiveTool):
            pin = pin_archive(tool, self._work, self._progress_of)
        else:
            self._progress_of(tool.name)
            pin = pin_python(tool, self._work)
            asked[tool.name] = tool.requirement
        return replace(lock, tools={**lock.tools, tool.name: pin}, asked=asked)

    def _repository(self, pinned: str, lock: Lock, *, keep: bool) -> Lock:
        """``lock`` with the repository ``pinned``; ``lock`` as it is if an address in that cannot be run. The errors of
        all its addresses are added to ``failures``."""
        pin = None
        failures: list[HostwrightError] = []
        for address in (address for address in self._addresses if address.pinned == pinned):
            try:
                if pin is None and keep and address.exact:
                    pin = lock.repositories.get(pinned)
                if pin is None:
                    self._progress_of(pinned)
                    pin = self._repositories.pin(Address(address.url, address.ref))
                tree = self._repositories.tree(pin)
                if address.path:
                    require_runnable(address, tree)
            except HostwrightError as error:
                failures.append(error)
                if not isinstance(error, InventoryError):
                    break  # it cannot be had, and the other addresses would say so again
        self.failures += failures
        return lock if failures or pin is None else replace(lock, repositories={**lock.repositories, pinned: pin})
