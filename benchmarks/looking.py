"""What commands that only read cost, by two versions of the agent: ``python -m benchmarks.looking OLD NEW``.

OLD and NEW name commits of this repository. Each version runs on a host of its own, booted from the same image; the
commands take turns, so that a slow moment of the machine meets both. Some look at the host, which is in sync. The
others read ``inventories/example``, as an administrator does at a desk.
"""

from __future__ import annotations

import io
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import cost
from benchmarks.session import states
from benchmarks.tools.hostwright import site
from tests.gitserver import ConfigRepo
from tests.lab.host import Host
from tests.lab.images import Image, derived
from tests.lab.installed import _PIP_INSTALL, _dependencies
from tests.lab.lab import Lab

ROUNDS, SIZE = 7, 1207

_AT_DESK = "hostwright --repo /srv/desk"

COMMANDS = {
    "plan": "hostwright plan",
    "cycle with nothing to do": "hostwright apply",
    "status": "hostwright status",
    "events": "hostwright events",
    "--version": "hostwright --version",
    "check": f"{_AT_DESK} check",
    "diff HEAD~..HEAD": f"{_AT_DESK} diff HEAD~..HEAD || [ $? = 10 ]",
    "lock --check": f"{_AT_DESK} lock --check",
    "secret list": f"{_AT_DESK} secret list",
    "inventory": f"{_AT_DESK} inventory",
    "status at a desk": f"{_AT_DESK} status --remote /srv/config.git",
    "schema site": "hostwright schema site",
}

_INSTALL = f"""\
{_PIP_INSTALL} --no-build-isolation /source
ln -s "versions/$version" /opt/hostwright/current
ln -s /opt/hostwright/current/bin/hostwright /usr/local/bin/hostwright
"$environment/bin/python" -I - > "$environment/.complete" 2>/dev/null <<'END' || :
from pathlib import Path
from agent.host.environment import find_agent
print(find_agent(Path("/source")).digest)
END
"""


@contextmanager
def source(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", commit], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def host_with(lab: Lab, commit: str, repository: Path, base: Image | None = None) -> Host:
    """A host that follows ``repository`` by the agent of ``commit``, at rest. ``base``: what the agent is installed
    in, where that is to have more than it needs."""
    sha = subprocess.run(["git", "rev-parse", commit], check=True, capture_output=True, text=True).stdout.strip()
    with source(sha) as folder:
        image = derived("bookworm-benchmark", base or _dependencies("bookworm"), _INSTALL, [sha], f"{folder}:/source")
    host = lab.boot("bookworm", image=image)
    host.push(repository, "/srv/config.git")
    command = ["hostwright", "setup", "--repo", "file:///srv/config.git", "--inventory", "lab", "--host", "web1"]
    host.run([*command, "--trust", "unsigned"])
    host.run("systemctl stop hostwright.service")
    host.run('while [ "$(systemctl is-active hostwright-cycle)" = activating ]; do sleep 0.1; done')
    return host


def measured(hosts: Mapping[str, Host]) -> Iterator[tuple[str, list[float]]]:
    """By command, the median of each host."""
    for name, command in COMMANDS.items():
        found: dict[str, list[float]] = {commit: [] for commit in hosts}
        for _ in range(ROUNDS):
            for commit, host in hosts.items():
                found[commit].append(cost(host, command).cpu)
        yield name, [statistics.median(times) for times in found.values()]


def repository_in(lab: Lab, folder: Path) -> Path:
    """A config repository with the state of SIZE resources."""
    (state,) = states(lab, [SIZE])
    config = ConfigRepo(folder / "config")
    files = {"hosts.yaml": "all: {hosts: {web1: {}}}\n", "fleet.yaml": "schedule: {settle: 0s}\n"}
    files["site.yaml"] = site(state)
    config.commit("Begin", {f"inventories/lab/{name}": text for name, text in files.items()})
    return config.bare(folder / "config.git")


def desk_in(folder: Path) -> Path:
    """A clone of a config repo with the inventory of the examples, and two commits."""
    desk = ConfigRepo(folder / "desk")
    for name in ("inventories/example", "deploys", "dotfiles"):
        shutil.copytree(name, desk.path / name)
    desk.commit("Begin")
    template = Path("inventories/example/files/prometheus.yml.j2")
    desk.commit("Change a template", {f"{template}": f"{template.read_text()}# changed\n"})
    return desk.path


def main(old: str, new: str) -> None:
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        repository = repository_in(lab, Path(folder))
        hosts = {commit: host_with(lab, commit, repository) for commit in (old, new)}
        desk = desk_in(Path(folder))
        for host in hosts.values():
            host.push(desk, "/srv/desk")
        print(f"{'CPU seconds, median of ' + str(ROUNDS):32}{old[:12]:>14}{new[:12]:>14}{'ratio':>8}")
        for name, (before, after) in measured(hosts):
            print(f"{name:32}{before:14.3f}{after:14.3f}{after / before:8.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
