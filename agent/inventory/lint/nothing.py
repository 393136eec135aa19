"""Files of an inventory that say nothing: hosts would do nothing, or take nothing, and it may not be meant so."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agent.inventory.complaint import Complaint, Complaints
from agent.inventory.lint.people import SIGNERS
from agent.inventory.site import SITE_FILE
from agent.inventory.source import HOSTS_FILES, Source
from agent.system import allowed_signers


def says_nothing(source: Source, known: Collection[str], *, plays: bool) -> Iterator[Complaint]:
    """A hint for each file of a sound inventory that holds no host, no play or no signer. ``known``: its hosts;
    ``plays``: whether it has any."""
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
