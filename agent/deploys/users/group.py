"""Groups as the ledger knows them: looked at, taken away, and given back as they were."""

from __future__ import annotations

from agent.deploys.kind import Kind, ResourceState, state_before, state_left
from agent.deploys.users import accounts, departed
from agent.deploys.users.commands import ShadowCommand
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class Group(Kind):
    """State: ``gid`` and ``members``."""

    calm = True

    def look(self, name: str) -> Seen | None:
        group = accounts.read().groups.get(name)
        return None if group is None else Seen({"gid": group.gid, "members": sorted(group.members)})

    def changed(self, left: ResourceState, now: Seen) -> str:
        same = left.get("gid") == now.state["gid"]
        return "" if same else f"its gid is {now.state['gid']}, not {left.get('gid')}"

    def remove_one(self, entry: LedgerEntry) -> None:
        found = accounts.read()
        group = found.groups.get(entry.name)
        if group is None:
            return
        holders = sorted(person.name for person in found.people.values() if person.gid == group.gid)
        if group.gid == 0 or holders:
            raise DeployError(f"it is the primary group of {', '.join(holders) or 'root'}")
        ShadowCommand(("groupdel", "--", entry.name)).run()
        departed.remember_group(entry.name, group.gid)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        before, found = state_before(entry), accounts.read()
        gid, group = before.get("gid"), found.groups.get(entry.name)
        if group is not None:
            if group.gid != gid:
                ShadowCommand(("groupmod", f"--gid={gid}", "--", entry.name)).run()
            return
        if state_left(entry) is not None:
            return  # Not the agent's doing.
        ShadowCommand(("groupadd", f"--gid={gid}", "--", entry.name)).run()
        if members := [name for name in accounts.names_in(before.get("members")) if name in found.people]:
            ShadowCommand(("gpasswd", f"--members={','.join(members)}", "--", entry.name)).run()
