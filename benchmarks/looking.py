"""What looking at a host in sync costs, by two versions of the agent: ``python -m benchmarks.looking OLD NEW``.

OLD and NEW name commits of this repository. Each version runs on a host of its own, booted from the same image; the
commands take turns, so that a slow moment of the machine meets both.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.gitserver import ConfigRepo
from tests.lab.host import Host
from tests.lab.images import derived
from tests.lab.installed import _PIP_INSTALL, _dependencies
from tests.lab.lab import Lab

ROUNDS = 7

COMMANDS = {
    "plan": "hostwright plan",
    "cycle with nothing to do": "hostwright apply",
    "status": "hostwright status",
    "events": "hostwright events",
    "--version": "hostwright --version",
}

_INSTALL = f"""\
{_PIP_INSTALL} --no-build-isolation /source
ln -s "versions/$version" /opt/hostwright/current
ln -s /opt/hostwright/current/bin/hostwright /usr/local/bin/hostwright
"""

_MEASURE = """\
import os, sys
pid = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1] + " >/dev/null 2>&1"], os.environ)
_, status, used = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
"""

ACCOUNTS, FOLDERS, FILES_EACH, LINKS = 6, 100, 10, 100
PACKAGES = 30
"""Those of the image, so that nothing has to be fetched."""


def site(packages: list[str]) -> str:
    """1,207 resources: 1,000 files in 101 folders, 100 links, 30 packages, 6 accounts."""
    lines = ["- hosts: all", "  deploys:", "    - packages:", *(f"        - {name}" for name in packages)]
    lines += ["    - users:", "        accounts:"]
    lines += [f"          user{number}: {{}}" for number in range(ACCOUNTS)]
    lines += ["    - files:", "        /srv/tree: {directory: true}"]
    for folder in range(FOLDERS):
        lines.append(f"        /srv/tree/{folder}: {{directory: true}}")
        lines += [
            f'        /srv/tree/{folder}/{file}: {{content: "{folder} {file} of {{{{ inventory_hostname }}}}\\n"}}'
            for file in range(FILES_EACH)
        ]
    lines += [f"        /srv/tree/link{number}: {{link: {number}/0}}" for number in range(LINKS)]
    return "\n".join(lines) + "\n"


@contextmanager
def source(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", commit], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def host_with(lab: Lab, commit: str, repository: Path) -> Host:
    """A host that follows ``repository`` by the agent of ``commit``, at rest."""
    sha = subprocess.run(["git", "rev-parse", commit], check=True, capture_output=True, text=True).stdout.strip()
    with source(sha) as folder:
        image = derived("bookworm-benchmark", _dependencies("bookworm"), _INSTALL, [sha], f"{folder}:/source")
    host = lab.boot("bookworm", image=image)
    host.push(repository, "/srv/config.git")
    command = ["hostwright", "setup", "--repo", "file:///srv/config.git", "--inventory", "lab", "--host", "web1"]
    host.run([*command, "--trust", "unsigned"])
    host.run("systemctl stop hostwright.service")
    host.run('while [ "$(systemctl is-active hostwright-cycle)" = activating ]; do sleep 0.1; done')
    return host


def cpu_s(host: Host, command: str) -> float:
    """CPU seconds of a command with all that it started and waited for. Raises AssertionError where it fails."""
    code, used = host.run(["python3", "-c", _MEASURE, command]).output.split()
    assert code == "0", f"{command} ended with status {code}"
    return float(used)


def measured(hosts: Mapping[str, Host]) -> Iterator[tuple[str, list[float]]]:
    """By command, the median of each host."""
    for name, command in COMMANDS.items():
        found: dict[str, list[float]] = {commit: [] for commit in hosts}
        for _ in range(ROUNDS):
            for commit, host in hosts.items():
                found[commit].append(cpu_s(host, command))
        yield name, [statistics.median(times) for times in found.values()]


def main(old: str, new: str) -> None:
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        bare = lab.boot("bookworm", image="ready")
        packages = bare.run(["dpkg-query", "--show", "--showformat=${Package}\\n"]).output.split()[:PACKAGES]
        config = ConfigRepo(Path(folder) / "config")
        files = {"hosts.yaml": "all: {hosts: {web1: {}}}\n", "fleet.yaml": "schedule: {settle: 0s}\n"}
        files["site.yaml"] = site(packages)
        config.commit("Begin", {f"inventories/lab/{name}": text for name, text in files.items()})
        repository = config.bare(Path(folder) / "config.git")
        hosts = {commit: host_with(lab, commit, repository) for commit in (old, new)}
        print(f"{'CPU seconds, median of ' + str(ROUNDS):32}{old[:12]:>14}{new[:12]:>14}{'ratio':>8}")
        for name, (before, after) in measured(hosts):
            print(f"{name:32}{before:14.3f}{after:14.3f}{after / before:8.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
