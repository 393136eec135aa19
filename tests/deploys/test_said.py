"""The one line that a person is told of what a tool said: real outputs, in the folder ``said`` with what made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.packages import refusals
from agent.deploys.systemctl import words_of_its_own
from agent.deploys.telling import reason, telling_line
from agent.system.process import Completed

SAID = Path(__file__).parent / "said"

TOLD = {
    "systemctl-init-script": "update-rc.d: error: old Default-Start contains no runlevels, aborting.",
    "systemctl-start-fails": "Job for broken.service failed because the control process exited with error code.",
    "systemctl-bad-unit": "Job for bad.service failed because the control process exited with error code.",
    "systemctl-no-such-unit": "Failed to enable unit: Unit file nosuch.service does not exist.",
    "systemctl-alias": "Failed to enable unit: Refusing to operate on alias name or linked unit file: other.service",
    "systemctl-mask-over-file": "Failed to mask unit: File /etc/systemd/system/down.service already exists.",
    "systemctl-missing-dependency": "Failed to start dep.service: Unit nosuch.service not found.",
    "useradd-uid": "useradd: UID 0 is not unique",
    "useradd-group": "useradd: group 'nosuch' does not exist",
    "useradd-name": "useradd: invalid home directory 'relative'",
    "usermod-busy": "usermod: user busy is currently used by process",
    "userdel-busy": "userdel: user busy is currently used by process",
    "userdel-nobody": "userdel: user 'nosuch' does not exist",
    "groupadd-gid": "groupadd: GID '0' already exists",
    "groupdel-primary": "groupdel: cannot remove the primary group of user 'ann'",
    "gpasswd-not-in": "gpasswd: user 'ann' is not a member of 'crew'",
    "chpasswd": "chpasswd: line 1: user 'nosuch' does not exist",
    "visudo": "stdin:1:14: syntax error",
    "podman-unreachable": "Error: initializing source docker://127.0.0.1:9/shop:1: pinging container registry",
    "podman-short-name": 'Error: short-name "shop" did not resolve to an alias',
}

TOLD_BY_APT = {
    "dpkg-postinst": ("hw-post: the database at db.example.org does not answer (dpkg: error processing", ""),
    "dpkg-postinst-silent": ("dpkg: error processing package hw-silent (--configure): installed hw-silent", ""),
    "dpkg-preinst": ("this needs a kernel of 7.0 or newer (dpkg: error processing archive", ""),
    "dpkg-prerm": ("error: 3 volumes are still in use (dpkg: error processing package hw-stays", ""),
    "dpkg-sudo": (
        "You have asked that the sudo package be removed, but no root password has been set. … Refusing to remove",
        "SUDO_FORCE_REMOVE=yes apt-get remove sudo",
    ),
    "dpkg-clash": (
        "dpkg: error processing archive /srv/repo/./hw-second_1_all.deb (--unpack): trying to overwrite",
        "",
    ),
    "apt-no-such-package": ("E: Package 'hw-nowhere' has no installation candidate", ""),
    "apt-no-such-version": ("E: Version '9' for 'hw-one' was not found", ""),
    "apt-pinned": ("E: Package 'hw-pinned' has no installation candidate", "preferences.d/lab:3 keeps it away"),
    "apt-virtual": ("E: Package 'hw-many' has no installation candidate", "name one of hw-one, hw-two instead"),
    "apt-unmet": ("hw-needs : Depends: hw-nowhere (>= 2) but it is not installable", ""),
    "apt-label": (
        "E: Repository 'file:/srv/repo ./ Release' changed its 'Label' value from 'Before' to 'After'",
        "apt-get update --allow-releaseinfo-change",
    ),
    "apt-unreachable": ("E: Failed to fetch http://127.0.0.1:9/dists/stable/InRelease Could not connect", ""),
}


def said(name: str) -> tuple[str, str]:
    """What a tool wrote to its two streams."""
    _, _, streams = (SAID / f"{name}.txt").read_text().partition("--- stdout\n")
    output, _, error = streams.partition("--- stderr\n")
    return output, error


def test_every_output_that_is_kept_has_its_line() -> None:
    assert {path.stem for path in SAID.glob("*.txt")} == TOLD.keys() | TOLD_BY_APT.keys()


@pytest.mark.parametrize("name", TOLD)
def test_a_tool_is_quoted_with_the_line_that_says_why(name: str) -> None:
    output, error = said(name)
    assert reason(Completed(1, output.encode(), error.encode())).startswith(TOLD[name])


@pytest.mark.parametrize("name", TOLD_BY_APT)
def test_apt_is_quoted_with_what_lies_behind_its_complaint_and_what_to_do(name: str, tmp_path: Path) -> None:
    (tmp_path / "preferences.d").mkdir()
    (tmp_path / "preferences.d/lab").write_text("Package: hw-pinned\nPin: release *\nPin-Priority: -1\n")
    output, error = said(name)
    line, remedy = TOLD_BY_APT[name]
    assert refusals.complaints(output, error)[0].startswith(line)
    hint = refusals.remedy(output, error, tmp_path)
    assert remedy in hint
    assert bool(remedy) == bool(hint)


@pytest.mark.parametrize(
    ("package", "kept"),
    [("git", True), ("hw-*", False), ("/^g.t$/", True), ("*", True), ("git-man jq", False), ("jq git", True)],
)
def test_a_preference_is_found_by_name_pattern_or_expression(tmp_path: Path, package: str, kept: bool) -> None:
    (tmp_path / "preferences").write_text(
        f"Explanation: x\nPackage: *\nPin: release a=old\nPin-Priority: 100\n\nPackage: {package}\nPin: release *\n"
        "Pin-Priority: -10\n"
    )
    assert refusals.pinned_away("git", tmp_path) == (f"{tmp_path}/preferences:8" if kept else "")


JOURNAL = [
    "Starting shop.service...",
    "bind: address already in use",
    "shop.service: Main process exited, code=exited, status=1/FAILURE",
    "shop.service: Failed with result 'exit-code'.",
    "Failed to start shop.service.",
]


def test_of_the_journal_the_units_own_words_are_told_or_what_systemd_found() -> None:
    assert words_of_its_own("shop.service", JOURNAL) == "bind: address already in use"
    unable = "shop.service: Failed at step EXEC spawning /opt/shop: No such file or directory"
    assert words_of_its_own("shop.service", [JOURNAL[0], unable, *JOURNAL[2:]]) == unable
    assert words_of_its_own("shop.service", JOURNAL[2:]) == ""


def test_what_is_for_terminals_is_left_out() -> None:
    assert telling_line("\x1b[31mE: no\x1b[0m\r\n") == "E: no"
    assert telling_line("10%\r20%\rerror: full\n") == "error: full"
    assert telling_line("\n \n") == ""


def test_what_only_announces_the_reason_is_told_with_it() -> None:
    said = "error: Failed dependencies:\n\tlibfoo is needed by (installed) bar-1.0-1.x86_64\n"
    assert telling_line(said) == "error: Failed dependencies: libfoo is needed by (installed) bar-1.0-1.x86_64"
