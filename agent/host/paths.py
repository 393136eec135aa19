"""The places of things on a host. One root, so that tests can put a whole host into a temporary folder."""

from __future__ import annotations

from pathlib import Path


class Below:
    """A path below another one of the same object, whose attribute ``above`` says which."""

    def __init__(self, above: str, name: str) -> None:
        self._above = above
        self._name = name

    def __get__(self, paths: object, owner: type) -> Path:
        above: Path = getattr(paths, self._above)
        return above / self._name


class Paths:
    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    etc = Below("root", "etc/hostwright")
    opt = Below("root", "opt/hostwright")
    var = Below("root", "var/lib/hostwright")
    run = Below("root", "run/hostwright")
    settings = Below("etc", "agent.yaml")
    trusted_signers = Below("etc", "trusted_signers")
    """Anchors given at bootstrap; no commit can remove them."""
    known_hosts = Below("etc", "known_hosts")
    deploy_key = Below("etc", "deploy_key")
    """The ssh key for the remotes, where the administrator gave one; else root's own ssh configuration counts."""
    credentials = Below("etc", "credentials")
    """Of this host, for providers of secrets: a folder that somebody who may read them filled."""
    status_key = Below("etc", "status_key")
    """The ssh key for reports, where that is another one: so the first need not be able to write."""
    mirror = Below("var", "repo.git")
    status_repo = Below("var", "status.git")
    bootstrap_lock = Below("root", "run/hostwright-bootstrap.lock")
    """Held by bootstrap.sh and uninstall, one of which installs packages and the other takes them away."""
    origin = Below("var", "origin.git")
    """The remote itself, where there is no other."""
    commits = Below("var", "commits")
    resolved = Below("var", "resolved")
    """Commits as they were read for this host, one document each."""
    repositories = Below("var", "repositories")
    """Other repositories' files at their pins, by tree digest."""
    identity = Below("var", "identity")
    next_identity = Below("var", "identity.next")
    """Keys that are to take the place of those in ``identity`` once they are admitted."""
    request = Below("var", "request.json")
    """The request to be admitted that is on the status branch, or about to be."""
    former_request = Below("var", "request.former.json")
    """The one before it, until the branch has the new one."""
    code = Below("var", "code")
    """The one-time code that this host was made with, until it is admitted."""
    journal = Below("var", "journal")
    ledger = Below("var", "ledger")
    commands = Below("var", "commands")
    """The commands to be run once that have run, one file each."""
    spool = Below("var", "spool")
    sent = Below("var", "sent.json")
    """The last report that arrived on the status branch."""
    seen = Below("var", "seen.json")
    """The highest sequence of each host's reports that was verified here."""
    events = Below("var", "events.jsonl")
    rescued = Below("var", "rescued")
    """Left by ``rescue.sh build``: the Python that the environment was built anew for."""
    versions = Below("opt", "versions")
    """One environment for each version of the agent."""
    current = Below("opt", "current")
    """The link to the version that runs."""
    previous = Below("opt", "previous")
    """The link to the version before it, for as long as that one is on trial."""
    rescue = Below("opt", "rescue")
    """rescue.sh and what it needs, and for each version what its environment can be built from again."""
    reverted = Below("opt", "reverted")
    """Left by ``rescue.sh revert``: a link to the version that it switched back from."""
    work = Below("var", "work")
    """Root-only scratch space; emptied at the start of every cycle."""
    lock = Below("run", "lock")
    motd = Below("root", "run/motd.d/hostwright")
    """While this host is not admitted, its fingerprint for who logs in."""
    control = Below("run", "control.sock")
    rest = Below("run", "rest")
    """The daemon's instructions until the next cycle."""
    suspicion = Below("run", "suspicion")
    """The changes that the daemon saw before it started a cycle."""

    def document(self, name: str) -> Path:
        """``state applied attempt bad trust pinned sighted update suspended``."""
        return self.var / f"{name}.json"
