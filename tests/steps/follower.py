"""A host that follows a repository and trusts what ``verify`` trusts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.domain.commit import TrustedCommit, TrustMode
from agent.errors import Exit, TrustError
from agent.steps.verify import verify
from agent.system.git import Mirror
from tests.gitserver import ConfigRepo

NOW = 1_790_000_000  # 2026-09-21
SIGNERS = "inventories/prod/trusted_signers"


@dataclass
class Host:
    """One host that follows ``repo``; ``last`` moves on as commits are trusted, as the cycle does it."""

    repo: ConfigRepo
    mirror: Mirror
    anchors: Path
    last: str | None = None
    mode: TrustMode = TrustMode.SIGNED
    min_commit: str | None = None
    now: int = NOW

    def pull(self) -> TrustedCommit:
        trusted = verify(
            self.mirror.fetch(f"{self.repo.path}", "main"),
            mirror=self.mirror,
            inventory="prod",
            mode=self.mode,
            last=self.last,
            min_commit=self.min_commit,
            anchors=self.anchors,
            now=self.now,
        )
        self.last = trusted.sha
        return trusted

    def refusal(self) -> TrustError:
        before = self.last
        with pytest.raises(TrustError) as refused:
            self.pull()
        assert self.last == before
        assert refused.value.exit is Exit.TRUST
        assert refused.value.hint
        return refused.value
