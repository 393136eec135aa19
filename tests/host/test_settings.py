"""agent.yaml: what is believed of it, and what is said about the rest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.commit import TrustMode
from agent.domain.memory import FleetSettings
from agent.errors import SettingsError
from agent.host.paths import Paths
from agent.host.settings import Settings, _by_yaml, _without_yaml, parse, read, render, write

LEAST = Settings(remote="https://git.example/config.git", inventory="fleet", host="web01")
FULL = Settings(
    remote="git@git.example:config.git",
    branch="stable",
    inventory="fleet",
    host="web01.example.org",
    trust=TrustMode.UNSIGNED,
    min_commit="1234567890" * 4,
    status_remote="ssh://git@git.example:2222/status.git",
    ca=Path("/etc/hostwright/ca.pem"),
    proxy="http://proxy.example:3128",
)


def complaint(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(text.encode(), "agent.yaml")
    assert caught.value.hint
    return caught.value.message


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    return paths


@pytest.mark.parametrize("settings", [LEAST, FULL, replace(LEAST, host="1234"), replace(LEAST, inventory="no")])
def test_what_is_written_is_what_is_read(paths: Paths, settings: Settings) -> None:
    write(paths, settings)
    assert read(paths) == settings


def test_commits_must_be_signed_unless_it_says_otherwise() -> None:
    assert parse(b"{remote: /srv/c.git, inventory: i, host: h}", "f").trust is TrustMode.SIGNED


def test_reports_go_to_the_config_repo_unless_it_says_otherwise() -> None:
    said = FleetSettings(status_remote="git@example.org:reports")
    assert LEAST.reports_to() == LEAST.remote
    assert LEAST.reports_to(said) == said.status_remote
    assert FULL.reports_to(said) == FULL.status_remote


def test_only_its_owner_may_read_the_file_that_is_written(paths: Paths) -> None:
    write(paths, LEAST)
    assert paths.settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_touch_is_not_believed(paths: Paths, mode: int) -> None:
    write(paths, LEAST)
    paths.settings.chmod(mode)
    with pytest.raises(SettingsError, match="not root's alone") as caught:
        read(paths)
    assert "chmod 600" in caught.value.hint


def test_a_link_is_not_followed(paths: Paths) -> None:
    elsewhere = paths.etc / "elsewhere"
    elsewhere.write_bytes(render(LEAST))
    elsewhere.chmod(0o600)
    paths.settings.symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="cannot be read"):
        read(paths)


def test_without_a_file_it_says_what_makes_one(paths: Paths) -> None:
    with pytest.raises(SettingsError, match="is missing") as caught:
        read(paths)
    assert "bootstrap.sh" in caught.value.hint


def test_all_complaints_come_at_once_each_with_its_line() -> None:
    text = "remote: https://git.example/c.git\ninventry: fleet\nhost: web 01\ntrust: maybe\n"
    assert complaint(text).splitlines() == [
        "agent.yaml:2: unknown key 'inventry': did you mean inventory?",
        "agent.yaml:3: host cannot be 'web 01': letters, digits, dots, dashes and underscores",
        "agent.yaml:4: trust cannot be 'maybe': write signed or unsigned",
        "agent.yaml: inventory is missing",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("host: 12", "host must be text"),
        ("remote: [a]", "remote must be text"),
        ("branch: --upload-pack=x", "branch cannot be"),
        ("branch: a..b", "branch cannot be"),
        ("remote: --upload-pack=x", "remote cannot be"),
        ("remote: 'a b'", "remote cannot be"),
        ("min_commit: abc", "40 hex digits"),
        ("ca: ca.pem", "absolute path"),
        ("proxy: proxy:3128", "write a URL"),
        ("inventory: ../other", "inventory cannot be"),
        ("host: '.hidden'", "host cannot be"),
    ],
)
def test_a_value_that_cannot_be_is_refused(line: str, said: str) -> None:
    assert said in complaint(line)


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "remote: [", "remote: a\nremote: b\n"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert "agent.yaml" in complaint(text)


@pytest.mark.parametrize(
    "line",
    [
        "remote: https://me:hunter2@git.example/c.git with blanks",
        "remote: https://me:a hunter2@git.example/c.git",
        "proxy: me:hunter2@git.example:3128",
        "proxy: socks5://me:a/hunter2@git.example",
    ],
)
def test_a_password_is_not_repeated_in_a_complaint(line: str) -> None:
    assert ("***@git.example" in complaint(line), "hunter2" in complaint(line)) == (True, False)


def test_null_is_the_default() -> None:
    text = b"{remote: /srv/c.git, inventory: i, host: h, min_commit: null, branch: }"
    assert parse(text, "f") == Settings(remote="/srv/c.git", inventory="i", host="h")


def test_a_required_key_cannot_be_null() -> None:
    assert "empty" in complaint("{remote: , inventory: i, host: h}")


def test_settings_as_bootstrap_writes_them_are_read_without_a_yaml_parser() -> None:
    settings = Settings("ssh://git@example.org:2222/config.git", "prod", "web1.example.org", ca=Path("/etc/ssl/ca.pem"))
    program = (
        "import sys; from agent.host.settings import parse; parse(sys.stdin.buffer.read(), ''); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=render(settings), capture_output=True, check=True)
    assert b"agent.host.settings" in done.stdout.split()
    assert b"yaml" not in done.stdout.split()


VALUES = (
    *("yes", "No", "null", "Null", "~", "1", "1.5", "1e3", "0x1f", "2026-01-01", "a", "a:", "a: b", "a #b", "a#b"),
    *("/a", "'a'", '"a"', "[a]", "&a a", "*a", "!a a", "a b", " a", "a ", "a\t", "=", "<<", "-", "- a", "a\r", "ä"),
    *("a\n  b", "|"),
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", ["remote", "host", "trust", "host ", " host", "x"])
def test_a_simple_line_means_what_yaml_says(key: str, value: str) -> None:
    lines = {"remote": "/srv/config.git", "inventory": "prod", "host": "web1"} | {key: value}
    content = "".join(f"{name}: {text}\n" for name, text in lines.items()).encode()
    simple = _without_yaml(content)
    assert simple is None or simple == _by_yaml(content, "agent.yaml")


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029", "\0", "\x1b", "\x7f", "\ufeff", "\t", "ä"])
def test_characters_that_yaml_may_take_otherwise_are_left_to_it(end: str) -> None:
    content = f"# kept by ops{end}branch: dev\nremote: /srv/config.git\ninventory: prod\nhost: web1\n".encode()
    assert _without_yaml(content) is None
