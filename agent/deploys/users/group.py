"""The kind ``group``: looking at groups, removing them, and restoring them as they were."""

from __future__ import annotations

from agent.deploys.kind import Kind, ResourceState, state_before, state_left
from agent.deploys.users import access, accounts
from agent.deploys.users.accounts import ShadowCommand
from agent.domain.ownership import LedgerEntry, Seen


class Group(Kind):
    """The kind ``group``. Its state: ``gid`` and ``members``, the names in its line."""

    inert = True

    def look(self, name: str) -> Seen | None:
        group = accounts.read().groups.get(name)
        return None if group is None else Seen({"gid": group.gid, "members": sorted(group.members)})

    def changed(self, left: ResourceState, now: Seen) -> str:
        same = left.get("gid") == now.state["gid"]
        return "" if same else f"its gid is {now.state['gid']}, not {left.get('gid')}"

    def remove_one(self, entry: LedgerEntry) -> None:
        access.remove_group(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        before, found = state_before(entry), accounts.read()
        gid, group = before.get("gid"), found.groups.get(entry.name)
        if group is not None:
            if group.gid != gid:
                ShadowCommand(("groupmod", f"--gid={gid}", "--", entry.name)).run()
            return
        if state_left(entry) is not None:
            return  # The agent left it there: somebody else deleted it since.
        ShadowCommand(("groupadd", f"--gid={gid}", "--", entry.name)).run()
        if members := [name for name in accounts.names_in(before.get("members")) if name in found.people]:
            ShadowCommand(("gpasswd", f"--members={','.join(members)}", "--", entry.name)).run()
