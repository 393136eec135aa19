"""trusted_signers and identities: mistakes in lines that git, ssh-keygen and readers of reports skip silently.

Only `check` complains of them. No host stops for such a line.
"""

from __future__ import annotations

from collections.abc import Collection

from agent.errors import InventoryError
from agent.host.identity import PublicIdentity
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.recipients import PRIVATE_KEY
from agent.inventory.source import Source
from agent.system import allowed_signers
from agent.system.age import PRIVATE
from agent.system.yaml import Position

SIGNERS = "trusted_signers"
_IDENTITIES = "identities/"


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
