from __future__ import annotations

import os
import time
from pathlib import Path

from agent.deploys import systemctl


def test_a_folder_is_as_new_as_the_newest_thing_below_it(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    file = tmp_path / "conf.d/a.conf"
    file.write_text("1")
    file.chmod(0o600)
    assert systemctl.changed_us([str(tmp_path)]) == file.stat().st_ctime_ns // 1000


def test_a_link_is_as_new_as_what_it_leads_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("1")
    link.symlink_to(target)
    os.utime(target)
    assert systemctl.changed_us([str(link)]) == target.stat().st_ctime_ns // 1000


def test_a_link_is_as_new_as_a_link_that_it_leads_to(tmp_path: Path) -> None:
    """As certbot's certificates are: a link to one elsewhere, which is pointed to a file of long ago."""
    (tmp_path / "target").write_text("1")
    (tmp_path / "link").symlink_to("between")
    before = systemctl.changed_us([str(tmp_path / "link")])
    time.sleep(0.02)
    (tmp_path / "between").symlink_to("target")
    assert before < systemctl.changed_us([str(tmp_path / "link")])
    assert systemctl.changed_us([str(tmp_path / "link")]) == (tmp_path / "between").lstat().st_ctime_ns // 1000


def test_what_is_not_there_is_as_old_as_can_be(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere/at/all")
    assert systemctl.changed_us([str(tmp_path / "gone")]) == 0
    assert systemctl.changed_us([]) == 0
    assert systemctl.changed_us([str(tmp_path / "link")]) > 0


def test_the_clock_tells_microseconds() -> None:
    before, after = systemctl.now(), systemctl.now()
    assert 0 <= after.wall_us - before.wall_us < 60_000_000
    assert before.monotonic_us <= after.monotonic_us
    assert after.monotonic_us <= after.boottime_us + 1000
