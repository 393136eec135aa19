from __future__ import annotations

from pathlib import Path

from agent.deploys.packages import holds


def test_marks_come_and_go_and_need_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "holds"
    assert holds.ours(folder) == frozenset()
    holds.claim(["nginx", "libc6:i386"], folder)
    holds.disclaim(["nginx", "never"], folder)
    assert holds.ours(folder) == {"libc6:i386"}
