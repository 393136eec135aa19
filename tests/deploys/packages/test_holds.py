from __future__ import annotations

from pathlib import Path

from agent.deploys.packages import dpkg


def test_marks_come_and_go_and_need_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "holds"
    assert dpkg.our_holds(folder) == frozenset()
    dpkg.claim_holds(["nginx", "libc6:i386"], folder)
    dpkg.disclaim_holds(["nginx", "never"], folder)
    assert dpkg.our_holds(folder) == {"libc6:i386"}
