"""What an inventory asks for, turned into a lock: what is pinned and still right stays, the rest is looked up."""

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
"""The agent with the libraries that only a managed host needs."""

_LookUp = Callable[..., Lock]

Watch = Callable[[str], OnProgress]
"""Called with the name of what is looked up now; gives who is told how far it is."""


class Renewal:
    """``addresses``: of other repositories, with a path where it is for a deploy file. ``work``: a private folder.
    ``agent``: the agent itself, where fleet.yaml says which."""

    def __init__(
        self,
        tools: Mapping[str, DeclaredTool],
        addresses: Collection[Address],
        *,
        repositories: Repositories,
        work: Path,
        watch: Watch,
        agent: PythonTool | None = None,
    ) -> None:
        self._tools = tools
        self._addresses = sorted(addresses, key=str)
        self._repositories = repositories
        self._work = work
        self._watch = watch
        self._agent = agent
        self.failures: list[HostwrightError] = []
        """Why some of it could not be pinned, once ``everything`` or ``only`` is done. Of that the old pin stays, where
        there is one; the rest is pinned all the same."""

    def everything(self, old: Lock) -> Lock:
        """All that is asked for, and nothing else. Of ``old`` stays what is exact and asked for as it is."""
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
        """``old`` with these tools and repositories looked up anew. Raises UsageError for a name nobody knows."""
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

    # Each returns the lock with one pin looked up, or as it is where that may be kept and is what is asked for.

    def _own(self, lock: Lock, *, keep: bool) -> Lock:
        if self._agent is None or (keep and self._agent.exact and lock.agent_asked == self._agent.requirement):
            return lock
        self._watch(AGENT)
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
            pin = pin_archive(tool, self._work, self._watch)
        else:
            self._watch(tool.name)
            pin = pin_python(tool, self._work)
            asked[tool.name] = tool.requirement
        return replace(lock, tools={**lock.tools, tool.name: pin}, asked=asked)

    def _repository(self, pinned: str, lock: Lock, *, keep: bool) -> Lock:
        """Each address has to be one that can be run from the repository; all that cannot are told of."""
        pin = None
        failures: list[HostwrightError] = []
        for address in (address for address in self._addresses if address.pinned == pinned):
            try:
                if pin is None and keep and address.exact:
                    pin = lock.repositories.get(pinned)
                if pin is None:
                    self._watch(pinned)
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
