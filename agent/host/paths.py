"""The paths of all files of the agent on a host, below one root: a test can put a whole host into a folder."""

from __future__ import annotations

from pathlib import Path


class Below:
    """An attribute that is a path: ``name`` below the path in the attribute ``above`` of the same object."""

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
    """The signers given at bootstrap. No commit can remove them."""
    known_hosts = Below("etc", "known_hosts")
    deploy_key = Below("etc", "deploy_key")
    """The ssh key for the remotes, if the administrator gave one; else root's own ssh configuration is used."""
    credentials = Below("etc", "credentials")
    """The folder with this host's credentials for providers of secrets. A person puts them there."""
    status_key = Below("etc", "status_key")
    """The ssh key for reports, if it is another one, so that ``deploy_key`` need not be able to write."""
    mirror = Below("var", "repo.git")
    status_repo = Below("var", "status.git")
    bootstrap_lock = Below("root", "run/hostwright-bootstrap.lock")
    """The lock that bootstrap.sh and uninstall hold, because one installs packages and the other removes them."""
    origin = Below("var", "origin.git")
    """The host's own remote, on a host that follows no other."""
    commits = Below("var", "commits")
    resolved = Below("var", "resolved")
    """The resolution of commits for this host, one document each."""
    repositories = Below("var", "repositories")
    """The files of other repositories at their pins, one folder each, named by the tree digest."""
    identity = Below("var", "identity")
    next_identity = Below("var", "identity.next")
    """New keys, which take the place of those in ``identity`` once they are admitted."""
    request = Below("var", "request.json")
    """The request to be admitted that is on the status branch, or about to be."""
    former_request = Below("var", "request.former.json")
    """The request before that, until the branch has the new one."""
    code = Below("var", "code")
    """The one-time code that the host was installed with, until it is admitted."""
    journal = Below("var", "journal")
    ledger = Below("var", "ledger")
    commands = Below("var", "commands")
    """A file for each command that is run once and has run."""
    spool = Below("var", "spool")
    sent = Below("var", "sent.json")
    """The last report that arrived on the status branch."""
    seen = Below("var", "seen.json")
    """By host, the highest sequence of a report that was verified here."""
    events = Below("var", "events.jsonl")
    rescued = Below("var", "rescued")
    """The mark of ``rescue.sh build``: the version of the Python that it built the environment for."""
    versions = Below("opt", "versions")
    """One environment for each version of the agent."""
    current = Below("opt", "current")
    """The link to the version that runs."""
    previous = Below("opt", "previous")
    """The link to the version before that, as long as the running version is on trial."""
    rescue = Below("opt", "rescue")
    """rescue.sh and what it needs, and for each version the sources that its environment can be built from again."""
    reverted = Below("opt", "reverted")
    """The mark of ``rescue.sh revert``: a link to the version that it switched back from."""
    work = Below("var", "work")
    """The folder for scratch files, root's alone. Each cycle empties it at its start."""
    lock = Below("run", "lock")
    motd = Below("root", "run/motd.d/hostwright")
    """The fingerprint of a host that is not admitted yet, for people who log in."""
    control = Below("run", "control.sock")
    rest = Below("run", "rest")
    """The daemon's instructions until the next cycle."""
    suspicion = Below("run", "suspicion")
    """The changes that the daemon saw before it started a cycle."""

    def document(self, name: str) -> Path:
        """The path of a document of ``host.state``: ``state applied attempt bad trust pinned sighted update
        suspended``."""
        return self.var / f"{name}.json"
