"""What an inventory asks for, turned into a lock: what is pinned and still right stays, the rest is looked up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from agent.domain.address import Address
from agent.domain.pins import AgentPin, RepositoryPin, ToolPin
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
        new = self._agent_pinned(Lock(), old, keep=True)
        for _, tool in sorted(self._tools.items()):
            new = self._tool_pinned(new, old, tool, keep=tool.exact and not old.behind(tool))
        for pinned in dict.fromkeys(address.pinned for address in self._addresses):
            new = self._repository_pinned(new, old, pinned, keep=True)
        return new

    def only(self, old: Lock, names: Collection[str]) -> Lock:
        """``old`` with these tools and repositories looked up anew. Raises UsageError for a name nobody knows."""
        new = old
        known = {address.pinned for address in self._addresses}
        for name in names:
            if name in self._tools:
                new = self._tool_pinned(new, old, self._tools[name], keep=False)
            elif name == AGENT and self._agent is not None:
                new = self._agent_pinned(new, old, keep=False)
            elif name in known:
                new = self._repository_pinned(new, old, name, keep=False)
            else:
                hint = nearest(
                    name, (*self._tools, *known), otherwise="name tools of tools.yaml or repositories of site.yaml"
                )
                raise UsageError(f'there is nothing called "{name}" to lock', hint=hint)
        return new

    def _agent_pinned(self, lock: Lock, old: Lock, *, keep: bool) -> Lock:
        try:
            return self._with_agent(lock, old if keep else None)
        except HostwrightError as error:
            self.failures.append(error)
            return replace(lock, agent=old.agent, agent_asked=old.agent_asked)

    def _tool_pinned(self, lock: Lock, old: Lock, tool: DeclaredTool, *, keep: bool) -> Lock:
        try:
            return self._with_tool(lock, tool, old.tools[tool.name] if keep else None)
        except HostwrightError as error:
            self.failures.append(error)
        if tool.name not in old.tools:
            return lock
        asked = {tool.name: old.asked[tool.name]} if tool.name in old.asked else {}
        return replace(lock, tools={**lock.tools, tool.name: old.tools[tool.name]}, asked={**lock.asked, **asked})

    def _repository_pinned(self, lock: Lock, old: Lock, pinned: str, *, keep: bool) -> Lock:
        """``lock`` with the repository of all addresses of ``pinned``, if each of them can be run from it."""
        rest = {name: pin for name, pin in lock.repositories.items() if name != pinned}
        before = {pinned: old.repositories[pinned]} if pinned in old.repositories else {}
        new, failures = replace(lock, repositories=rest), list[HostwrightError]()
        for address in (address for address in self._addresses if address.pinned == pinned):
            try:
                new = self._with_repository(new, address, before.get(pinned) if keep and address.exact else None)
            except HostwrightError as error:
                failures.append(error)
                if pinned not in new.repositories and not isinstance(error, InventoryError):
                    break  # it cannot be had, and the other addresses would say so again
        self.failures += failures
        return replace(lock, repositories=rest | before) if failures else new

    def _with_agent(self, lock: Lock, old: Lock | None) -> Lock:
        """``old``: what stays of it where it is exact and asked for as it is."""
        if self._agent is None:
            return lock
        asked = self._agent.requirement
        pin = old.agent if old is not None and self._agent.exact and old.agent_asked == asked else None
        if pin is None:
            self._watch(AGENT)
            require_named_index()
            found = pin_python(replace(self._agent, requirement=asked.replace(AGENT, OF_HOSTS, 1)), self._work)
            pin = AgentPin(found.version, tuple(line.replace(OF_HOSTS, AGENT, 1) for line in found.requirements))
        return replace(lock, agent=pin, agent_asked=asked)

    def _with_tool(self, lock: Lock, tool: DeclaredTool, pin: ToolPin | None) -> Lock:
        asked = dict(lock.asked)
        asked.pop(tool.name, None)
        if isinstance(tool, ArchiveTool):
            pin = pin or pin_archive(tool, self._work, self._watch)
        else:
            if pin is None:
                self._watch(tool.name)
                pin = pin_python(tool, self._work)
            asked[tool.name] = tool.requirement
        return replace(lock, tools={**lock.tools, tool.name: pin}, asked=asked)

    def _with_repository(self, lock: Lock, address: Address, pin: RepositoryPin | None) -> Lock:
        """An address may stand for several deploy files; its repository is pinned once."""
        pin = lock.repositories.get(address.pinned) or pin
        if pin is None:
            self._watch(address.pinned)
            pin = self._repositories.pin(Address(address.url, address.ref))
        tree = self._repositories.tree(pin)
        if address.path:
            require_runnable(address, tree)
        return replace(lock, repositories={**lock.repositories, address.pinned: pin})
