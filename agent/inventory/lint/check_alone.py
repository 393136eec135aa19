"""The complaints of `check` alone: no host stops for what they are about. Some are mistakes, and some only hints.

Lines of trusted_signers and identities, for instance, that git, ssh-keygen and readers of reports skip silently.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from agent.domain.layout import INVENTORIES
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.host.identity import PublicIdentity
from agent.inventory.ansible.sops_vars import IN_CLEAR
from agent.inventory.complaint import Complaint, Complaints, nearest
from agent.inventory.recipients import PRIVATE_KEY
from agent.inventory.site import SITE_FILE
from agent.inventory.source import HOSTS_FILES, Source
from agent.system import allowed_signers
from agent.system.age import PRIVATE
from agent.system.document import Position
from agent.system.sops import is_called_sops, lies_in_clear

SIGNERS = "trusted_signers"
_IDENTITIES = "identities/"

_FOLDERS = {
    INVENTORIES: INVENTORIES,
    "inventory": INVENTORIES,
    "dotfiles": "dotfiles",
    "dotfile": "dotfiles",
    "deploys": "deploys",
    "deploy": "deploys",
    "policies": "policies",
    "policy": "policies",
}
"""Folders at the top of a config repo, each also by its singular."""

_CLOSE = 0.85
"""How alike two names are that are taken for one: `dotfles` is dotfiles, `files` is not (difflib's ratio)."""


def hints(tree: Tree) -> Iterator[Complaint]:
    """A complaint about each folder whose name is nearly one that hosts read, and for each file of ``dotfiles/`` and
    ``deploys/`` in which a merge conflict was left."""
    for name in tree.names():
        near = difflib.get_close_matches(name.lower().strip("._-"), _FOLDERS, n=1, cutoff=_CLOSE)
        if near and name not in _FOLDERS.values() and tree.entry(name) is None:
            yield Complaint(
                Position(f"{name}/"), "", "nobody reads this folder", f'did you mean "{_FOLDERS[near[0]]}"?'
            )
    problem, remedy = MERGE_CONFLICT
    for entry in (entry for folder in ("dotfiles", "deploys") for entry in tree.entries(folder) if not entry.link):
        if line := whole_conflict_line(tree.read(entry.path).decode(errors="replace")):
            yield Complaint(Position(entry.path, line, 1), "", problem, remedy)


def says_nothing(source: Source, known: Collection[str], *, plays: bool) -> Iterator[Complaint]:
    """A hint for each file of a sound inventory that holds no host, no play or no signer. ``known``: its hosts;
    ``plays``: True if it has any."""
    hosts = next((name for name in HOSTS_FILES if source.has(name)), HOSTS_FILES[0])
    signers = source.content(SIGNERS, Complaints()) if source.has(SIGNERS) else None
    if not known:
        remedy = "`hostwright enroll USER@HOST --as NAME --group GROUP` adds one"
        yield Complaint(source.position(hosts), "", "no hosts are in here", remedy)
    if not plays:
        yield Complaint(
            source.position(SITE_FILE), "", "no plays are in here", "begin with `- hosts: all` and `deploys:`"
        )
    if signers is not None and not allowed_signers.parse(signers):
        remedy = 'write a line `you@example.org namespaces="git" ssh-ed25519 …` for each person, or remove the file'
        yield Complaint(source.position(SIGNERS), "", "nobody is named here, so nobody can sign for hosts", remedy)


def complain_of_people(source: Source, hosts: Collection[str] | None, complaints: Complaints) -> None:
    """Complain of wrong lines in trusted_signers, and of identities that are wrong, of no host, or of two hosts.
    ``hosts``: None where the hosts file cannot be read; then no identity is complained of as that of no host."""
    if source.has(SIGNERS) and (content := source.content(SIGNERS, complaints)) is not None:
        for line, problem, remedy in allowed_signers.mistakes(content):
            complaints.add(Position(f"{source.folder}/{SIGNERS}", line, 1), (), problem, remedy)
    first: dict[str, str] = {}
    for path in sorted(path for path in source.paths if path.startswith(_IDENTITIES)):
        identity = _identity(source, path, hosts, complaints)
        for key in filter(None, (identity.ssh.split()[1], identity.age) if identity is not None else ()):
            if first.setdefault(key, path) != path:
                remedy = "make each host its own: `hostwright identity rotate` on a host of the two, or enroll it anew"
                complaints.add(source.position(path), (), f"this is the key of {first[key]}, too", remedy)
                break


def _identity(
    source: Source, path: str, hosts: Collection[str] | None, complaints: Complaints
) -> PublicIdentity | None:
    name = path.removeprefix(_IDENTITIES)
    host = name.removesuffix(".pub")
    if host == name or "/" in name:
        if not name.startswith("."):
            complaints.add(source.position(path), (), "nobody reads this", "an identity is called <host>.pub")
        return None
    if hosts is not None and host not in hosts:
        remedy = nearest(host, hosts, otherwise=f"add it to the hosts file, or remove {name}")
        complaints.add(
            source.position(path), (), f'the identity of "{host}", which is no host of this inventory', remedy
        )
    content = source.content(path, complaints)
    if content is not None:
        try:
            return PublicIdentity.parse(content, path)
        except InventoryError as error:
            place = Position(f"{source.folder}/{path}", _first_bad_line(content), 1)
            private = PRIVATE.search(content.decode(errors="replace")) is not None
            said = PRIVATE_KEY if private else (error.message.removeprefix(f"{path}: "), error.hint)
            complaints.add(place, (), *said)
    return None


def _first_bad_line(content: bytes) -> int:
    """The number (from 1) of the first line at which the file stops being an identity."""
    lines = content.decode(errors="replace").splitlines()
    said = [number for number, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")]
    for count in range(1, len(said) + 1):
        try:
            PublicIdentity.parse("\n".join(lines[: said[count - 1]]).encode(), "")
        except InventoryError:
            return said[count - 1]
    return 1


def complain_of_clear_sops_files(tree: Tree, complaints: Complaints) -> None:
    """Complain of each file of the repository, wherever it lies, that is named like one of SOPS and is in clear."""
    for path in filter(is_called_sops, tree.paths()):
        entry = tree.entry(path)
        if entry is not None and not entry.link and lies_in_clear(tree.read(path)):
            complaints.add(Position(path), (), *IN_CLEAR)
