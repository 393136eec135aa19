"""dnf, apk, pacman and zypper: the exact commands that a deploy comes to, on a host that answers as a real one did.

The package managers are scripts in a PATH of their own: they note what they are told, and answer questions.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.packages.spec import PackagesSpec
from agent.domain.desired import DesiredDeploy
from tests.deploys import engine
from tests.deploys.commit import Commit

NOTE = """\
#!/bin/sh
case "$*" in
{answers}
*) echo "{name} $*" >> {log} ;;
esac
"""

RPM = "bash 5.1.8-9.el9\\nnginx 1.20.1-14.el9\\ntzdata 2024a-1.el9\\n"
ANSWERS: dict[str, dict[str, dict[str, str]]] = {
    "dnf": {
        "rpm": {"*-qa": f"printf '{RPM}'", "--query --whatprovides webserver": ":", "--query *": "exit 1"},
        "dnf": {},
    },
    "zypper": {"rpm": {"*-qa": f"printf '{RPM}'", "--query *": "exit 1"}, "zypper": {}},
    "apk": {
        "apk": {
            "list --installed": "printf 'nginx-1.24.0-r7 x86_64 {nginx} (BSD-2-Clause) [installed]\\n"
            "tzdata-2024a-r0 x86_64 {tzdata} (Public-Domain) [installed]\\n'",
            "info --installed webserver": ":",
            "info *": "exit 1",
        }
    },
    "pacman": {
        "pacman": {
            "-Q": "printf 'nginx 1.26.0-1\\ntzdata 2024a-1\\n'",
            "--deptest webserver": ":",
            "--deptest *": "exit 127",
            "-Sgq base": "printf 'nginx\\ntzdata\\n'",
            "-Sgq more": "printf 'nginx\\nvim\\n'",
            "-Sgq *": "exit 1",
        },
    },
}
PROGRAMS = ("sh", "env", "cat", "mkdir", "rm", "awk", "grep", "sed", "uname", "id")


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of what the package manager was told."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    log.touch()
    for program in PROGRAMS:
        (folder / program).symlink_to(f"{shutil.which(program)}")
    for name, answers in ANSWERS[request.param].items():
        script = folder / name
        cases = "\n".join(f"{pattern.replace(' ', chr(92) + ' ')}) {answer} ;;" for pattern, answer in answers.items())
        script.write_text(NOTE.format(answers=cases, name=name, log=log))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return log


def deploy(written: Any, tmp_path: Path) -> DesiredDeploy:
    concrete = PackagesSpec.model_validate(PackagesSpec.from_short(written)).concrete(Commit(tmp_path / "commit", {}))
    return DesiredDeploy("packages", "packages", concrete.arguments, "", concrete.resources)


WISHES = {"present": ["jq", "bash=5.1.8", "tzdata"], "absent": ["nginx", "tree"]}
UNPINNED = {"present": ["jq", "tzdata"], "absent": ["nginx", "tree"]}
PINS = ["nginx=1.20.1", "tzdata=2023", "jq=1.6"]
CASES = [
    ("dnf", WISHES, ["dnf install -y jq", "rpm --erase nginx"]),
    ("dnf", PINS, ["dnf install -y tzdata-2023", "dnf install -y jq-1.6"]),
    ("dnf", ["bash=1:5.1.8-9.el9", "nginx=2:1.20.1"], []),
    ("zypper", ["bash=1:5.1.9"], ["zypper --non-interactive install --oldpackage bash=1:5.1.9"]),
    ("apk", UNPINNED, ["apk update", "apk add jq", "apk del nginx"]),
    ("apk", ["nginx=1.24.0-r7", "tzdata=2023c-r1"], ["apk add tzdata=2023c-r1"]),
    ("pacman", UNPINNED, ["pacman --noconfirm -S jq", "pacman --noconfirm -R nginx"]),
    (
        "zypper",
        WISHES,
        ["zypper --non-interactive install --oldpackage jq", "rpm --erase nginx"],
    ),
    *((manager, ["webserver"], []) for manager in ("dnf", "apk", "pacman")),
    ("pacman", ["base"], []),
    ("pacman", ["more"], ["pacman --noconfirm -S more"]),
    ("zypper", PINS[:2], ["zypper --non-interactive install --oldpackage tzdata=2023"]),
]


@pytest.mark.parametrize(("host", "written", "commands"), CASES, indirect=["host"])
def test_the_commands_are_these(host: Path, written: Any, commands: list[str], tmp_path: Path) -> None:
    run = engine.apply(deploy(written, tmp_path), tmp_path, tmp_path / "work")
    assert (run.outcome.error, host.read_text().splitlines()) == ("", commands)


@pytest.mark.parametrize("host", ["dnf"], indirect=True)
def test_a_plan_tells_the_package_manager_nothing(host: Path, tmp_path: Path) -> None:
    found = engine.plan(deploy(WISHES, tmp_path), tmp_path, tmp_path / "work")
    assert [change.resource for change in found.changes] == ["package:jq", "package:nginx"]
    assert host.read_text() == ""


APT_ONLY = [
    ({"held": ["nginx"]}, "held packages can be had with apt only"),
    ({"upgrades": "security"}, "upgrades can be had with apt only"),
    (
        {"repositories": {"vendor": {"url": "https://example.org/x", "suites": ["stable"]}}},
        "repositories can be had with apt only",
    ),
]


@pytest.mark.parametrize("host", ["dnf"], indirect=True)
@pytest.mark.parametrize(("written", "complaint"), APT_ONLY)
def test_what_only_apt_can_do_is_refused_when_it_is_planned(
    host: Path, written: Any, complaint: str, tmp_path: Path
) -> None:
    found = engine.plan(deploy(written, tmp_path), tmp_path, tmp_path / "work")
    assert complaint in (found.error or "")


@pytest.mark.parametrize("host", ["pacman"], indirect=True)
def test_pacman_has_no_versions_to_choose_from(host: Path, tmp_path: Path) -> None:
    found = engine.plan(deploy(["nginx=1"], tmp_path), tmp_path, tmp_path / "work")
    assert "pacman has one version of each package" in (found.error or "")
