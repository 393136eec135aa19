"""Where things lie on a host. One root, so that tests can put a whole host into a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class _Below:
    """A path below another one of ``Paths``."""

    def __init__(self, above: str, name: str) -> None:
        self._above = above
        self._name = name

    def __get__(self, paths: Paths, owner: type[Paths]) -> Path:
        above: Path = getattr(paths, self._above)
        return above / self._name


@dataclass(frozen=True, slots=True)
class Paths:
    root: Path = Path("/")

    etc = _Below("root", "etc/hostwright")
    opt = _Below("root", "opt/hostwright")
    var = _Below("root", "var/lib/hostwright")
    run = _Below("root", "run/hostwright")
    settings = _Below("etc", "agent.yaml")
    trusted_signers = _Below("etc", "trusted_signers")
    """Anchors given at bootstrap; no commit can remove them."""
    known_hosts = _Below("etc", "known_hosts")
    deploy_key = _Below("etc", "deploy_key")
    """The ssh key for the remotes, where the administrator gave one; else root's own ssh configuration counts."""
    credentials = _Below("etc", "credentials")
    """Of this host, for providers of secrets: a folder that somebody who may read them filled."""
    status_key = _Below("etc", "status_key")
    """The ssh key for reports, where that is another one: so the first need not be able to write."""
    mirror = _Below("var", "repo.git")
    status_repo = _Below("var", "status.git")
    bootstrap_lock = _Below("root", "run/hostwright-bootstrap.lock")
    """Held by bootstrap.sh and uninstall, one of which installs packages and the other takes them away."""
    origin = _Below("var", "origin.git")
    """The remote itself, where there is no other."""
    commits = _Below("var", "commits")
    resolved = _Below("var", "resolved")
    """What commits were read as for this host, one document each."""
    repositories = _Below("var", "repositories")
    """Other repositories' files at their pins, by tree digest."""
    identity = _Below("var", "identity")
    next_identity = _Below("var", "identity.next")
    """Keys that are to take the place of those in ``identity`` once they are admitted."""
    request = _Below("var", "request.json")
    """The request to be admitted that is on the status branch, or about to be."""
    former_request = _Below("var", "request.former.json")
    """The one before it, until the branch has the new one."""
    code = _Below("var", "code")
    """The one-time code that this host was made with, until it is admitted."""
    journal = _Below("var", "journal")
    ledger = _Below("var", "ledger")
    commands = _Below("var", "commands")
    """Which of the commands that are to run once have, one file each."""
    spool = _Below("var", "spool")
    sent = _Below("var", "sent.json")
    """The last report that arrived on the status branch."""
    announced = _Below("var", "announced.json")
    """The last report that said what the host was about to do."""
    suspect = _Below("var", "suspect.json")
    """The last report in the place of this host's that it did not know for its own."""
    rival = _Below("var", "rival.json")
    """The report of another machine that has this host's identity, since when one was found."""
    seen = _Below("var", "seen.json")
    """The highest sequence of each host's reports that was verified here."""
    events = _Below("var", "events.jsonl")
    rescued = _Below("var", "rescued")
    """Left by ``rescue.sh build``: the Python that the environment was built anew for."""
    versions = _Below("opt", "versions")
    """One environment for each version of the agent."""
    current = _Below("opt", "current")
    """The link to the version that runs."""
    previous = _Below("opt", "previous")
    """The link to the version before it, for as long as that one is on trial."""
    rescue = _Below("opt", "rescue")
    """rescue.sh and what it needs, and for each version what its environment can be built from again."""
    reverted = _Below("opt", "reverted")
    """Left by ``rescue.sh revert``: a link to the version that it switched back from."""
    work = _Below("var", "work")
    """Root-only scratch space; emptied at the start of every cycle."""
    lock = _Below("run", "lock")
    motd = _Below("root", "run/motd.d/hostwright")
    """While this host is not admitted, its fingerprint for who logs in."""
    control = _Below("run", "control.sock")
    rest = _Below("run", "rest")
    """What the daemon goes by between two cycles."""
    suspicion = _Below("run", "suspicion")
    """What the daemon saw change before it started a cycle."""

    def document(self, name: str) -> Path:
        """``state applied attempt bad trust pinned sighted update suspended``."""
        return self.var / f"{name}.json"
