"""trusted_signers and identities: mistakes in lines that git, ssh-keygen and readers of reports skip silently.

Only `check` complains of them. No host stops for such a line.
"""

from __future__ import annotations

from agent.errors import InventoryError
from agent.host.identity import PublicIdentity
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.source import Source
from agent.system import allowed_signers
from agent.system.yaml import Position

SIGNERS = "trusted_signers"
_IDENTITIES = "identities/"


def complain_of_people(source: Source, hosts: tuple[str, ...], complaints: Complaints) -> None:
    if source.has(SIGNERS) and (content := source.content(SIGNERS, complaints)) is not None:
        for line, problem, remedy in allowed_signers.mistakes(content):
            complaints.add(Position(f"{source.folder}/{SIGNERS}", line, 1), (), problem, remedy)
    for path in sorted(path for path in source.paths if path.startswith(_IDENTITIES)):
        _identity(source, path, hosts, complaints)


def _identity(source: Source, path: str, hosts: tuple[str, ...], complaints: Complaints) -> None:
    name = path.removeprefix(_IDENTITIES)
    host = name.removesuffix(".pub")
    if host == name or "/" in name:
        if not name.startswith("."):
            complaints.add(source.position(path), (), "nobody reads this", "an identity is called <host>.pub")
        return
    if host not in hosts:
        remedy = nearest(host, hosts, otherwise=f"add it to the hosts file, or remove {name}")
        complaints.add(
            source.position(path), (), f'the identity of "{host}", which is no host of this inventory', remedy
        )
    content = source.content(path, complaints)
    if content is not None:
        try:
            PublicIdentity.parse(content, path)
        except InventoryError as error:
            line = _first_bad_line(content)
            complaints.add(
                Position(f"{source.folder}/{path}", line, 1), (), error.message.removeprefix(f"{path}: "), error.hint
            )


def _first_bad_line(content: bytes) -> int:
    """The first line at which the file stops being an identity."""
    lines = content.decode(errors="replace").splitlines()
    said = [number for number, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")]
    for count in range(1, len(said) + 1):
        try:
            PublicIdentity.parse("\n".join(lines[: said[count - 1]]).encode(), "")
        except InventoryError:
            return said[count - 1]
    return 1
