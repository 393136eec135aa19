"""Files in an inventory that nobody reads. A name that is nearly right would have no effect, and nobody would notice.

Files for people are left alone: hidden files, README, Markdown, licences.
"""

from __future__ import annotations

from agent.inventory.complaint import Complaints, nearest
from agent.inventory.source import COPY, FILES, FOLDERS, HOSTS_FILES, PEOPLE, Source, is_backup, is_expected_beside

_OF_INVENTORIES = (".yaml", ".yml", ".ini")


def complain_of_strays(source: Source, complaints: Complaints) -> None:
    """Complain of files in the inventory's folder that nobody reads."""
    known = (*FILES, *PEOPLE, *FOLDERS)
    for name in source.tree.names(source.folder):
        if name not in known and not is_expected_beside(name) and (said := _unread(source, name)) is not None:
            complaints.add(source.position(name), (), *said)
        elif name in (*FILES, *PEOPLE) and not source.has(name) and name not in ("site.yaml", *HOSTS_FILES):
            complaints.add(source.position(name), (), *source.missing(name, "file", ""))


def _unread(source: Source, name: str) -> tuple[str, str] | None:
    """Problem and remedy for a name that nobody reads; None for names that a deploy may use as a source."""
    if is_backup(name):
        return COPY
    folder = any(path.startswith(f"{name}/") for path in source.paths)
    meant = FOLDERS if folder else (*FILES, *PEOPLE)
    if not folder and name.rpartition(".")[0] == "inventory":
        return "nobody reads this", f"call it hosts{name.removeprefix('inventory')}"
    if near := nearest(name.lower(), meant):
        return "nobody reads this", near
    if not folder and name.endswith(_OF_INVENTORIES):
        return "nobody reads this", f"files here are {', '.join(meant)}; keep what deploys take elsewhere"
    return None
