from __future__ import annotations

from pathlib import Path

from agent.host.baseline import baseline_file, read_baseline, write_baseline
from agent.host.paths import Paths


def test_what_was_written_is_read_and_only_root_may(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert read_baseline(paths) is None
    write_baseline(paths, ["zlib1g", "bash", "libc6:i386"])
    assert read_baseline(paths) == {"bash", "libc6:i386", "zlib1g"}
    assert baseline_file(paths).read_text() == "bash\nlibc6:i386\nzlib1g\n"
    assert (baseline_file(paths).stat().st_mode & 0o777, paths.ledger.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_host_with_no_packages_at_all_has_a_baseline(tmp_path: Path) -> None:
    write_baseline(Paths(tmp_path), [])
    assert read_baseline(Paths(tmp_path)) == frozenset()
