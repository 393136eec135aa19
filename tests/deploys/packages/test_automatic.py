"""Which packages came along as dependencies, as apt's extended_states has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.packages import apt, apt_packages, dpkg

ROWS = ("dpkg\tamd64\tii \t1", "libc6\tamd64\tii \t2", "libc6\ti386\tii \t2", "adduser\tall\tii \t3")
STATES = """\
Package: libc6
Architecture: i386
Auto-Installed: 1

Package: adduser
Architecture: amd64
Auto-Installed: 1

Package: gone
Architecture: amd64
Auto-Installed: 1

Package: dpkg
Architecture: amd64
Auto-Installed: 0
"""


def test_a_package_is_automatic_by_its_own_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = tmp_path / "extended_states"
    states.write_text(STATES)
    monkeypatch.setattr(apt_packages, "_AUTO", states)
    monkeypatch.setattr(apt_packages, "_SOURCES", (states,))
    monkeypatch.setattr(apt, "query", lambda: dpkg.parsed("\n".join(f"{row}\t\t\t\t\t." for row in ROWS)))
    found = apt_packages.AptPackages().installed()
    assert {name for name, state in found.items() if state["auto"]} == {"libc6:i386", "adduser"}
