"""A host becomes the version of the agent that Git pins, and goes back by itself from one that is no good."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import __version__
from tests.bootstrap.conftest import CLONE, ROOT, WHEELS, Bootstrapped, bootstrap
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.stories.world import kinds, until

GOOD, SILENT, DEAF = "98.0.0", "98.1.0", "98.2.0"
"""Versions: one as good as this one, one that never reports, one that does not pass its own check."""

_EDITS: Mapping[str, tuple[str, str, str]] = {
    SILENT: (
        "agent/steps/report.py",
        "        fleet = self._fleet(account)\n        box",
        "        raise RuntimeError",
    ),
    DEAF: ("agent/planning.py", "    last, fleet = memory.trust().last, memory.state().fleet", "    raise OSError"),
}
VERSIONS, BUILT = "/opt/hostwright/versions", "/srv/built"
DROP_IN = "/etc/systemd/system/hostwright-revert.timer.d/soon.conf"


def wheel(folder: Path, version: str) -> Path:
    """The agent as it stands, as another version."""
    source = folder / version
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "bootstrap.sh", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "agent", source / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    init = source / "agent/__init__.py"
    init.write_text(re.sub(r'^__version__ = ".*"$', f'__version__ = "{version}"', init.read_text(), flags=re.MULTILINE))
    if version in _EDITS:
        file, before, instead = _EDITS[version]
        text = (source / file).read_text()
        assert text.count(before) == 1
        (source / file).write_text(text.replace(before, f"{instead}\n{before}"))
    uv = Path(sys.executable).with_name("uv")
    build = [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--offline", "--out-dir", folder, source]
    subprocess.run(build, check=True, timeout=120, env={"PATH": f"{uv.parent}:/usr/bin:/bin", "HOME": f"{folder}"})
    return next(folder.glob(f"hostwright-{version}-*.whl"))


@dataclass
class Fleet:
    """A fleet of one host, which follows its own remote."""

    machine: Host

    def pin(self, version: str) -> None:
        """As an administrator does it: fleet.yaml, `hostwright lock`, commit, push."""
        settings = f"schedule: {{fetch: 2s, drift: 2s, settle: 0s}}\nagent: {{version: {version}}}\n"
        self.machine.write(f"{CLONE}/inventories/local/fleet.yaml", settings)
        named = {"UV_FIND_LINKS": WHEELS, "UV_DEFAULT_INDEX": "file:///srv/no-index"}
        self.machine.run(f"hostwright --repo {CLONE} --inventory local lock", env=named, timeout_s=120)
        git = f"git -C {CLONE} -c user.name=A -c user.email=a@b"
        self.machine.run(f"{git} add -A && {git} commit -qm 'Agent {version}'")
        self.machine.run(f"{git} push -q /var/lib/hostwright/origin.git HEAD:main")
        self.machine.run("hostwright trigger")

    @property
    def version(self) -> str:
        return self.machine.run("hostwright --version", check=False).output.strip().rpartition(" ")[2]

    @property
    def current(self) -> str:
        """The version that is switched to. To ask it for its name takes ten times the CPU of reading the link."""
        link = self.machine.run("readlink /opt/hostwright/current", check=False).output
        return link.strip().rpartition("/")[2].partition("-")[0]

    def report(self) -> dict[str, object]:
        shown = self.machine.run("git --git-dir=/var/lib/hostwright/origin.git grep -h . status -- 'hosts/*/*.json'")
        report: dict[str, object] = json.loads(shown.output)
        return report

    def problems(self) -> list[str]:
        return [problem["kind"] for problem in self.report()["problems"]]  # type: ignore[attr-defined]

    @property
    def on_trial(self) -> bool:
        return self.machine.run("test -L /opt/hostwright/previous", check=False).code == 0

    def end_the_time(self) -> None:
        """Lets the timer that the switch has started run out. Nothing is switched to while the drop-in is there."""
        assert self.machine.run("systemctl is-active hostwright-revert.timer").output == "active\n"
        self.machine.write(DROP_IN, "[Timer]\nOnActiveSec=\nOnActiveSec=1s\n")
        self.machine.run("systemctl daemon-reload && systemctl restart hostwright-revert.timer")
        until(lambda: self.current == GOOD, "the version before it")
        self.machine.run(f"rm {DROP_IN} && systemctl daemon-reload")


@pytest.fixture(scope="module")
def fleet(lab: Lab, bootstrapped: Bootstrapped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    wheels = tmp_path_factory.mktemp("wheels")
    with lab.boot("bookworm", image=bootstrapped("bookworm")[0]) as machine:
        for version in (GOOD, SILENT, DEAF):
            built = wheel(wheels, version)
            machine.push(built, f"{WHEELS}/{built.name}")
        machine.run(f"mkdir /srv/no-index && cp -a {VERSIONS} {BUILT}")
        yield Fleet(machine)


def test_a_host_becomes_the_version_that_is_pinned_and_keeps_it_when_it_does_well(fleet: Fleet) -> None:
    fleet.pin(GOOD)
    until(lambda: fleet.current == GOOD, "the new version")
    until(lambda: "updated" in kinds(fleet.machine), "it is kept")
    assert not fleet.on_trial
    (name,) = fleet.machine.run("ls /opt/hostwright/versions").output.split()
    assert name.startswith(f"{GOOD}-")
    assert fleet.machine.run("systemctl is-enabled hostwright-revert.timer", check=False).output == "disabled\n"
    until(lambda: fleet.report()["agent_version"] == GOOD, "it reports")
    assert fleet.report()["phase"] == "converged"


def test_what_was_kept_is_rescued_as_what_it_is(fleet: Fleet) -> None:
    fleet.machine.run("systemctl stop hostwright hostwright-cycle")
    fleet.machine.run(f"rm /opt/hostwright/versions/{GOOD}-*/bin/python*")
    fleet.machine.run("systemctl start hostwright-rescue", timeout_s=300)
    assert fleet.version == GOOD
    fleet.machine.run("systemctl start hostwright")


def test_one_that_does_not_pass_its_own_check_is_not_switched_to(fleet: Fleet) -> None:
    fleet.pin(DEAF)
    until(lambda: fleet.problems() == ["update-failed"], "it is reported")
    assert fleet.version == GOOD
    assert not fleet.on_trial


def test_one_that_does_not_report_in_its_time_is_switched_back_and_stays_out(fleet: Fleet) -> None:
    fleet.pin(SILENT)
    until(lambda: fleet.current == SILENT, "the new version")
    fleet.end_the_time()
    until(lambda: fleet.problems() == ["update-reverted"], "it is reported")
    assert not fleet.on_trial
    until(lambda: json.loads(fleet.machine.read("/var/lib/hostwright/update.json"))["reverts"] == 1, "a verdict")
    fleet.machine.run("hostwright trigger --wait", check=False)
    assert fleet.version == GOOD
    until(lambda: fleet.machine.run("systemctl is-active hostwright", check=False).code == 0, "a daemon")


def test_a_switch_that_was_cut_off_before_the_link_is_begun_again(fleet: Fleet) -> None:
    fleet.machine.run("systemctl stop hostwright hostwright-cycle")
    fleet.machine.run("ln -s versions/$(basename $(readlink /opt/hostwright/current)) /opt/hostwright/previous")
    path = "/var/lib/hostwright/update.json"
    update = json.loads(fleet.machine.read(path))
    fleet.machine.write(path, json.dumps(update | {"stage": "trial"}), mode=0o600)
    fleet.machine.run("systemctl start hostwright")
    until(lambda: fleet.current == SILENT, "the new version")
    assert fleet.on_trial
    fleet.end_the_time()
    until(lambda: json.loads(fleet.machine.read(path))["stage"] != "trial", "a verdict")


def test_a_cycle_that_began_before_the_switch_is_one_of_the_version_switched_to(fleet: Fleet) -> None:
    fleet.machine.run("systemctl disable --now hostwright && systemctl stop hostwright-cycle")
    silent = fleet.machine.run(f"cd /opt/hostwright && echo versions/{SILENT}-*").output.strip()
    fleet.machine.run(f"cd /opt/hostwright && cp -P current previous && ln -sfn {silent} current")
    path = "/var/lib/hostwright/update.json"
    update = json.loads(fleet.machine.read(path))
    fleet.machine.write(path, json.dumps(update | {"stage": "trial", "reverts": 0}), mode=0o600)
    fleet.machine.run("sh /opt/hostwright/rescue/rescue.sh revert")

    def verdict() -> bool:
        fleet.machine.run(f"/opt/hostwright/{silent}/bin/hostwright cycle", check=False)
        return bool(json.loads(fleet.machine.read(path))["reverts"])

    until(verdict, "a verdict")
    fleet.machine.run("systemctl enable --now hostwright")


def test_what_a_person_installs_is_not_switched_back_from(fleet: Fleet) -> None:
    fleet.machine.run("systemctl stop hostwright hostwright-cycle")
    fleet.machine.run("ln -s versions/nothing /opt/hostwright/previous && systemctl start hostwright-revert.timer")
    fleet.machine.run(f"mv {BUILT}/{__version__} {VERSIONS}")  # rather than to build it anew
    done = bootstrap(fleet.machine)
    assert "first cycle" in done.error
    assert fleet.version == __version__
    assert not fleet.on_trial
    assert fleet.machine.run("systemctl is-active hostwright-revert.timer", check=False).output == "inactive\n"


def test_without_a_version_in_git_a_host_stays_on_what_it_has(fleet: Fleet) -> None:
    fleet.machine.write(f"{CLONE}/inventories/local/fleet.yaml", "schedule: {fetch: 2s, drift: 2s, settle: 0s}\n")
    git = f"git -C {CLONE} -c user.name=A -c user.email=a@b"
    fleet.machine.run(f"{git} commit -qam 'No version' && {git} push -q /var/lib/hostwright/origin.git HEAD:main")
    until(lambda: fleet.problems() == [], "nothing is wrong")
    assert fleet.version == __version__
