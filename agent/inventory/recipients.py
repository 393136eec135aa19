"""Recipients of secrets: who has to be able to read the files of each folder, and which files differ from that.

An age file does not show its recipients. lock.yaml holds them, each with a name, and the sha256 of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from agent.domain.fault import Fault
from agent.domain.pins import SecretPin
from agent.host.identity import PublicIdentity
from agent.inventory.complaint import Complaint, Complaints
from agent.inventory.secrets import SecretFiles
from agent.inventory.source import Source
from agent.system import age
from agent.system.document import Position

ADMINS_FILE = "admins"
_LINE = "write an age recipient (age1…) or an SSH public key (ssh-ed25519, ssh-rsa; age knows no others), and a comment"
PRIVATE_KEY = ("a private key stands here", "take it out and make a new one: whoever can read the repository has it")

REKEY = "run `hostwright secret rekey` in the config repo"


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients by name: ``admins``, and the ``hosts`` that are admitted. ``keyless``: hosts that are admitted by
    an identity without a second line, the key for secrets."""

    admins: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    keyless: frozenset[str] = frozenset()

    def of(self, readers: tuple[str, ...]) -> dict[str, str]:
        """The recipients of a file that the hosts ``readers`` may read: names by recipient."""
        hosts = [(host, self.hosts[host]) for host in readers if host in self.hosts]
        return {recipient: name for name, recipient in sorted([*hosts, *self.admins.items()])}


def read_recipients(
    source: Source, hosts: Iterable[str], identities: Mapping[str, PublicIdentity], complaints: Complaints
) -> Recipients:
    """The recipients of an inventory with these ``hosts``. Lines of ``admins`` that name nobody, or a host, go to
    ``complaints``."""
    return Recipients(
        _admins(source, {*hosts, *identities}, complaints),
        {host: identity.age for host, identity in identities.items() if identity.age is not None},
        frozenset(host for host, identity in identities.items() if identity.age is None),
    )


def _admins(source: Source, hosts: Set[str], complaints: Complaints) -> dict[str, str]:
    content = source.content(ADMINS_FILE, complaints) if source.has(ADMINS_FILE) else None
    found: dict[str, str] = {}
    for number, line in enumerate((content or b"").decode(errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        place = Position(f"{source.folder}/{ADMINS_FILE}", number, 1)
        try:
            recipient = age.recipient(text)
        except age.AgeError:
            private = age.PRIVATE.search(text) is not None
            complaints.add(place, (), *(PRIVATE_KEY if private else ("nobody can read secrets by this line", _LINE)))
            continue
        comment = " ".join(text.removeprefix(recipient).split()) or f"{recipient[:16]}…"
        if comment in hosts:
            complaints.add(place, (), f'"{comment}" is the name of a host', "name the person in the comment")
            continue
        if comment in found or recipient in found.values():
            complaints.add(place, (), f'"{comment}" or its key is there already', "keep one line, with its own comment")
            continue
        found[comment] = recipient
    return found


def audit(files: SecretFiles, recipients: Recipients, pins: Mapping[str, SecretPin]) -> Iterator[Complaint]:
    """A complaint about each file that somebody cannot read who should, or can read who should not, and about each pin
    of a file that is gone. No host stops for one."""
    for name in files.names:
        readers = files.readers(name.partition("/")[0])
        if readers is not None:
            place = Position(files.file(name).path)
            for fault in differences(files, name, recipients, pins.get(name)):
                yield Complaint(place, "", fault.problem, fault.remedy)
            if keyless := sorted(recipients.keyless.intersection(readers)):
                remedy = "add the second line that `hostwright identity` prints on the host to identities/"
                yield Complaint(place, "", f"{', '.join(keyless)} has no key for secrets", remedy)
    for name in gone(files, pins):
        away = files.absence(name)
        said = (f"its file {away.why}", away.remedy) if away else ("there is no such file any more", REKEY)
        yield Complaint(files.locked, f"secrets.{name}", *said)


def differences(files: SecretFiles, name: str, recipients: Recipients, pin: SecretPin | None) -> Iterator[Fault]:
    """The faults of one file: differences that ``secret rekey`` corrects, and people who left and knew its value, which
    only a new value corrects."""
    wanted = recipients.of(files.readers(name.partition("/")[0]) or ())
    if pin is None:
        yield Fault("lock.yaml does not know it", _rekey_of(name, wanted))
        return
    if not is_known(files, name, pin):
        yield Fault("it was changed by another program, which may have left readers out", _rekey_of(name, wanted))
    if new := [who for recipient, who in wanted.items() if recipient not in pin.recipients]:
        yield Fault(f"{', '.join(new)} cannot read it yet", REKEY)
    if left := [who for recipient, who in pin.recipients.items() if recipient not in wanted]:
        yield Fault(f"{', '.join(left)} can still read it", f"{REKEY}, and change the value")
    if known := [who for recipient, who in pin.left.items() if recipient not in wanted]:
        remedy = f"change it with `hostwright secret set {name}` in the config repo"
        yield Fault(f"{', '.join(known)} knew its value", remedy)


def is_known(files: SecretFiles, name: str, pin: SecretPin | None) -> bool:
    """True if the file has the sha256 of ``pin``."""
    return pin is not None and pin.sha256 == hashlib.sha256(files.content(name)).hexdigest()


def _rekey_of(name: str, wanted: Mapping[str, str]) -> str:
    readers = ", ".join(wanted.values())
    return f"if you know who wrote it, `hostwright secret rekey {name}` in the config repo makes it for {readers}"


def gone(files: SecretFiles, pins: Mapping[str, SecretPin]) -> list[str]:
    return sorted(pins.keys() - set(files.names))
