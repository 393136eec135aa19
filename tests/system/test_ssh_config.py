"""Include of a person's ssh_config: what ssh itself would make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.system.ssh_config import configured


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", f"{tmp_path}")
    (tmp_path / ".ssh/conf.d").mkdir(parents=True)
    (tmp_path / ".ssh/conf.d/1").write_text("Port 1\nHost web\n  User one\n  HostName 10.0.0.1\n")
    (tmp_path / ".ssh/conf.d/2").write_text("Host *\n  User two\n")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["conf.d/*", "~/.ssh/conf.d/*", "${HOME}/.ssh/conf.d/*", "conf.d/1 conf.d/2", '"conf.d/*"']
)
def test_files_that_are_included_count_in_their_place(home: Path, path: str) -> None:
    (home / ".ssh/config").write_text(f"Include {path}\nUser last\nHostKeyAlias all\n")
    web, other = configured("web"), configured("other")
    assert [web[key] for key in ("user", "hostname", "port", "hostkeyalias")] == ["one", "10.0.0.1", "1", "all"]
    assert [other[key] for key in ("user", "hostname", "port", "hostkeyalias")] == ["two", "other", "1", "all"]


def test_an_include_of_some_hosts_is_none_of_others_and_the_lines_behind_it_are_theirs_still(home: Path) -> None:
    (home / ".ssh/config").write_text("Host web\n  Include = conf.d/*\n  Compression yes\nHost *\n  User last\n")
    assert (configured("web")["user"], configured("web")["compression"]) == ("one", "yes")
    other = configured("other")
    assert (other["user"], "port" in other, "compression" in other) == ("last", False, False)


def test_included_files_include_others(home: Path) -> None:
    (home / ".ssh/conf.d/3").write_text("Include deep\n")
    (home / ".ssh/deep").write_text("Match host web\n  LogLevel ERROR\n")
    (home / ".ssh/config").write_text("Include nothing conf.d/3\nUser last\n")
    assert [configured("web").get(key) for key in ("user", "loglevel")] == ["last", "ERROR"]
    assert [configured("other").get(key) for key in ("user", "loglevel")] == ["last", None]
