"""A host that follows a repository and trusts what ``verify`` trusts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from agent.domain.commit import Accept, TrustedCommit, TrustMode
from agent.domain.memory import TrustRecord
from agent.errors import Exit, TrustError
from agent.steps.fetch import fetch
from agent.steps.freeze import revoked
from agent.steps.verify import accepted, verify
from agent.system.git_command import Access
from agent.system.mirror import Mirror
from tests.gitserver import Author, ConfigRepo
from tests.stage import Stage

NOW = 1_790_000_000  # 2026-09-21
SIGNERS = "inventories/prod/trusted_signers"


@dataclass
class Host:
    """One host that follows ``repo``; ``record`` moves on as commits are trusted, as the cycle does it."""

    repo: ConfigRepo
    mirror: Mirror
    anchors: Path
    record: TrustRecord = field(default_factory=TrustRecord)
    mode: TrustMode = TrustMode.SIGNED
    min_commit: str | None = None
    now: int = NOW

    remembered: Accept = field(default_factory=Accept)
    branch: str = "main"
    inventory: str = "prod"

    @classmethod
    def new(cls, folder: Path, repo: ConfigRepo, anchor: Author) -> Self:
        """A host below ``folder`` that trusts ``anchor``."""
        anchors = folder / "etc/trusted_signers"
        anchors.parent.mkdir()
        anchors.write_text(f"# the administrators\n{anchor.line}\n")
        return cls(repo, Mirror(folder / "repo.git", Access(None, None)), anchors)

    @property
    def remote(self) -> str:
        return f"{self.repo.path}"

    @property
    def last(self) -> str | None:
        return self.record.last

    def accepts(self, since: str | None) -> Accept:
        return accepted(self.mirror, self.inventory, self.remembered, since)

    def pull(self) -> TrustedCommit:
        trusted = verify(
            fetch(self.mirror, self, self.record, self.accepts),
            mirror=self.mirror,
            inventory=self.inventory,
            mode=self.mode,
            record=self.record,
            accepts=self.accepts,
            min_commit=self.min_commit,
            anchors=self.anchors,
            now=self.now,
        )
        self.mirror.keep(trusted.sha)
        self.record = self.record.after(trusted, self.now)
        return trusted

    def frozen(self) -> TrustError | None:
        """Why nothing may be changed on it, if so."""
        return revoked(
            self.record,
            mirror=self.mirror,
            inventory=self.inventory,
            mode=self.mode,
            anchors=self.anchors,
            now=self.now,
        )

    def refusal(self) -> TrustError:
        before = self.record
        with pytest.raises(TrustError) as refused:
            self.pull()
        assert self.record == before
        assert refused.value.exit is Exit.TRUST
        assert refused.value.hint
        return refused.value


def staged(stage: Stage, name: str, anchor: Author, prepare: Callable[[Host], None]) -> Host:
    """A host that trusts ``anchor``, as ``prepare`` left it; it is prepared once for all tests of the module."""

    def make() -> TrustRecord:
        stage.clear()
        host = Host.new(stage.folder, ConfigRepo(stage.folder / "work"), anchor)
        prepare(host)
        host.mirror.close()
        return host.record

    record = stage.restore(name, make)
    mirror = Mirror(stage.folder / "repo.git", Access(None, None))
    host = Host(ConfigRepo.at(stage.folder / "work"), mirror, stage.folder / "etc/trusted_signers", record)
    mirror.follow(host.remote, host.branch)
    return host
