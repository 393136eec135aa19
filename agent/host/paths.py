"""Where things lie on a host. One root, so that tests can put a whole host into a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    root: Path = Path("/")

    @property
    def etc(self) -> Path:
        return self.root / "etc/hostwright"

    @property
    def opt(self) -> Path:
        return self.root / "opt/hostwright"

    @property
    def var(self) -> Path:
        return self.root / "var/lib/hostwright"

    @property
    def run(self) -> Path:
        return self.root / "run/hostwright"

    @property
    def settings(self) -> Path:
        return self.etc / "agent.yaml"

    @property
    def trusted_signers(self) -> Path:
        """Anchors given at bootstrap; no commit can remove them."""
        return self.etc / "trusted_signers"

    @property
    def known_hosts(self) -> Path:
        return self.etc / "known_hosts"

    @property
    def deploy_key(self) -> Path:
        """The ssh key for the remotes, where the administrator gave one; else root's own ssh configuration counts."""
        return self.etc / "deploy_key"

    @property
    def status_key(self) -> Path:
        """The ssh key for reports, where that is another one: so the first need not be able to write."""
        return self.etc / "status_key"

    @property
    def mirror(self) -> Path:
        return self.var / "repo.git"

    @property
    def status_repo(self) -> Path:
        return self.var / "status.git"

    @property
    def bootstrap_lock(self) -> Path:
        """Held by bootstrap.sh and uninstall, one of which installs packages and the other takes them away."""
        return self.root / "run/hostwright-bootstrap.lock"

    @property
    def origin(self) -> Path:
        """The remote itself, where there is no other."""
        return self.var / "origin.git"

    @property
    def commits(self) -> Path:
        return self.var / "commits"

    @property
    def repositories(self) -> Path:
        """Other repositories' files at their pins, by tree digest."""
        return self.var / "repositories"

    @property
    def identity(self) -> Path:
        return self.var / "identity"

    @property
    def journal(self) -> Path:
        return self.var / "journal"

    @property
    def ledger(self) -> Path:
        return self.var / "ledger"

    @property
    def commands(self) -> Path:
        """Which of the commands that are to run once have, one file each."""
        return self.var / "commands"

    @property
    def spool(self) -> Path:
        return self.var / "spool"

    @property
    def sent(self) -> Path:
        """The last report that arrived on the status branch."""
        return self.var / "sent.json"

    @property
    def announced(self) -> Path:
        """The last report that said what the host was about to do."""
        return self.var / "announced.json"

    @property
    def suspect(self) -> Path:
        """The last report in the place of this host's that it did not know for its own."""
        return self.var / "suspect.json"

    @property
    def rival(self) -> Path:
        """The report of another machine that has this host's identity, since when one was found."""
        return self.var / "rival.json"

    @property
    def seen(self) -> Path:
        """The highest sequence of each host's reports that was verified here."""
        return self.var / "seen.json"

    @property
    def events(self) -> Path:
        return self.var / "events.jsonl"

    @property
    def rescued(self) -> Path:
        """Left by ``rescue.sh build``: the Python that the environment was built anew for."""
        return self.var / "rescued"

    @property
    def versions(self) -> Path:
        """One environment for each version of the agent."""
        return self.opt / "versions"

    @property
    def current(self) -> Path:
        """The link to the version that runs."""
        return self.opt / "current"

    @property
    def previous(self) -> Path:
        """The link to the version before it, for as long as that one is on trial."""
        return self.opt / "previous"

    @property
    def rescue(self) -> Path:
        """rescue.sh and what it needs, and for each version what its environment can be built from again."""
        return self.opt / "rescue"

    @property
    def reverted(self) -> Path:
        """Left by ``rescue.sh revert``: a link to the version that it switched back from."""
        return self.opt / "reverted"

    @property
    def work(self) -> Path:
        """Root-only scratch space; emptied at the start of every cycle."""
        return self.var / "work"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def control(self) -> Path:
        return self.run / "control.sock"

    def document(self, name: str) -> Path:
        """``state applied attempt bad trust pinned sighted update suspended``."""
        return self.var / f"{name}.json"
