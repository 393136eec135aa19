"""A bare Debian becomes what it should be: the tool is installed over the network, then it installs three packages and
writes a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import Cost, cost, root_of
from benchmarks.results import Figure
from benchmarks.session import Wrong
from benchmarks.states import State, differences
from benchmarks.tools import ansible, cfengine, hostwright, puppet, pyinfra
from benchmarks.tools.tool import APT, SUITE, Tool
from tests.lab.installed import ROOT
from tests.lab.lab import Lab

STATE = State(packages=("jq", "rsync", "tree"), files={"/etc/greeting": "hello\n"})
SCENARIO = "bare"

CLONE = "/root/hostwright"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def _playbook(state: State) -> Mapping[str, str]:
    files = ansible.ANSIBLE.files(state)
    return {path.replace("/srv/ansible/site.yml", "/srv/ansible/local.yml"): text for path, text in files.items()}


ANSIBLE_PULL = replace(
    ansible.ANSIBLE,
    name="ansible-pull",
    install=f"{APT} ansible-core git python3-apt",
    files=_playbook,
    run="cd /srv/ansible; git init -q; git add -A; git -c user.name=A -c user.email=a@b commit -qm State; "
    "ansible-pull --url /srv/ansible --inventory localhost, local.yml",
)

PEERS = (
    ANSIBLE_PULL,
    replace(pyinfra.PYINFRA, install=f"{APT} python3-venv; {pyinfra.PYINFRA.install}"),
    puppet.PUPPET,
    cfengine.CFENGINE,
)
"""Salt is left out: one of its parts has to be compiled, which says nothing about Salt."""


def clone(folder: Path) -> Path:
    """This working copy with the state as its inventory ``local``, in one commit."""
    for path in ("agent", "bootstrap.sh", "requirements.txt", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / path
        if source.is_dir():
            shutil.copytree(source, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder)
    local = folder / "inventories/local"
    local.mkdir(parents=True)
    (local / "hosts.yaml").write_text("all: {hosts: {localhost: {}}}\n")
    (local / "site.yaml").write_text(hostwright.site(STATE))
    for command in ("init -q -b main", "add -A", "-c user.name=A -c user.email=a@b commit -qm State"):
        subprocess.run(["git", "-C", folder, *command.split()], check=True)
    return folder


def bootstrapped(lab: Lab, source: Path) -> Cost:
    """The cost of bootstrap.sh."""
    with lab.boot(SUITE, image="base", online=True) as host:
        host.push(source, CLONE)
        host.push(_CERTIFICATES, "/root/ca.pem")
        found = cost(host, f"{CLONE}/bootstrap.sh --ca /root/ca.pem")
        _require("Hostwright", root_of(host))
        return found


def installed(lab: Lab, tool: Tool) -> Cost:
    """The cost of a peer's installation and first run."""
    with lab.boot(SUITE, image="base", online=True) as host:
        host.push(_CERTIFICATES, str(_CERTIFICATES))
        for path, text in tool.files(STATE).items():
            host.write(path, text)
        found = cost(host, f"export DEBIAN_FRONTEND=noninteractive; ({tool.install}) && ({tool.run})")
        _require(tool.name, root_of(host))
        return found


def _require(name: str, root: Path) -> None:
    if wrong := next(differences(root, STATE), ""):
        raise Wrong(f"{name}: {wrong}\n{(root / 'run/said').read_text()[-2000:]}")


def measured(lab: Lab, rounds: int, tools: Sequence[str]) -> Iterator[Figure]:
    """Figures of Hostwright and those of PEERS that are among ``tools``."""
    peers = [tool for tool in PEERS if tool.name.replace("ansible-pull", "Ansible") in tools]
    costs: dict[str, list[Cost]] = {name: [] for name in ("Hostwright", *(tool.name for tool in peers))}
    with tempfile.TemporaryDirectory() as folder:
        source = clone(Path(folder) / "hostwright")
        for _ in range(rounds):
            for name, tool in (("Hostwright", None), *((tool.name, tool) for tool in peers)):
                costs[name].append(installed(lab, tool) if tool else bootstrapped(lab, source))
                print(f"bare machine, {name}: {costs[name][-1].wall:.1f} s", file=sys.stderr)
    for name, found in costs.items():
        yield Figure.of(SCENARIO, STATE.size, name, found)
