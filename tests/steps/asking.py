"""Machines that ask to be admitted, the config repo that may admit them, and their status branch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.errors import SettingsError
from agent.fleet.requests import JudgedRequest, judge_request
from agent.fleet.writer import StatusBranch
from agent.host.admission import Admission
from agent.host.events import Events
from agent.host.identity import Identity, PublicIdentity, admitted, public_lines
from agent.host.outbox import outboxes_of_host
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.steps.report import StatusReporter
from agent.system.folder import FolderTree
from tests.fleet import samples
from tests.fleet.samples import DEADLINE_S
from tests.steps.build import account, health, plan, planned

NOW = 1_790_000_000


@dataclass
class Fleet:
    """A config repo that may admit hosts, and their status branch."""

    folder: Path

    @property
    def remote(self) -> Path:
        return self.folder / "status.git"

    def machine(self, name: str) -> Machine:
        paths = Paths(self.folder / name)
        paths.var.mkdir(parents=True)
        paths.run.mkdir(parents=True)
        return Machine(self, paths, samples.branch(self.folder, self.remote.as_uri(), f"{name}.cache"))

    def admit(self, lines: bytes | None, host: str = "web1") -> None:
        file = self.folder / f"repo/inventories/prod/identities/{host}.pub"
        file.parent.mkdir(parents=True, exist_ok=True)
        if lines is None:
            file.unlink()
        else:
            file.write_bytes(lines)

    @property
    def known(self) -> dict[str, PublicIdentity]:
        return dict(admitted(FolderTree(self.folder / "repo"), "prod")[0])

    @property
    def requests(self) -> list[JudgedRequest]:
        found = samples.branch(self.folder, self.remote.as_uri(), "desk").requests(DEADLINE_S)
        return [judge_request(each, self.known) for each in found.found]


@dataclass
class Machine:
    """A host by the name web1. ``says``: a number that makes its next report news."""

    fleet: Fleet
    paths: Paths
    branch: StatusBranch
    says: int = 0

    @property
    def lines(self) -> bytes:
        return "".join(f"{line}\n" for line in public_lines(self.paths.identity, "web1")).encode()

    @property
    def key(self) -> str:
        return PublicIdentity(Identity.ensure(self.paths.identity, "web1").public_line).key

    def admission(self, _: str | None = None) -> Admission:
        return Admission(self.paths, "prod", "web1", lambda: FolderTree(self.fleet.folder / "repo"), lambda: NOW)

    @property
    def reporter(self) -> StatusReporter:
        return StatusReporter(
            settings=Settings(remote="/srv/config.git", inventory="prod", host="web1"),
            memory=Memory(self.paths),
            events=Events(self.paths.events),
            identity=lambda: Identity.ensure(self.paths.identity, "web1"),
            outboxes=outboxes_of_host(self.paths),
            branch=lambda *_: self.branch,
            tree=lambda _: FolderTree(self.fleet.folder / "repo"),
            clock=lambda: NOW,
            admission=self.admission,
            request_files=(self.paths.request, self.paths.next_identity),
        )

    def report(self, *, news: bool = True) -> list[str]:
        """Report; return the kinds of what is wrong with that. Without ``news`` it has nothing to say."""
        self.says += news
        failing = SettingsError("it is ill", kind=f"ill-{'i' * self.says}")
        return [
            each.kind
            for each in self.reporter.report(account(failures=[failing], after=plan(planned()), health=health()))
        ]


def rotate(machine: Machine) -> bool:
    """Whether new keys were made for it."""
    return machine.reporter.rotate()[1]
