"""Hosts to bootstrap: with a clone of this repository, and the packages of its lock in a folder of the image.

A host that needs no network is booted without one, which proves that it needs none and takes seconds off each test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.lab.host import Completed, Host
from tests.lab.images import Image, prepared
from tests.lab.installed import WHEEL_SOURCES, digests, offline
from tests.lab.installed import WHEELHOUSE as WHEELS
from tests.lab.lab import Lab
from tests.stories.world import rest

ROOT = Path(__file__).parents[2]
CLONE = "/root/hostwright"
BOOTSTRAP_TIMEOUT_S = 300

SITE = """\
- hosts: all
  deploys:
    - files:
        /etc/greeting: {content: "hello\\n"}
"""


_MAKERS = ("tests/bootstrap/conftest.py", "tests/lab/*.py")
"""What decides on a bootstrapped host beside what is bootstrapped."""

Boot = Callable[..., Host]
Bootstrapped = Callable[[str], tuple[Image, Completed]]


def bootstrap(host: Host, *options: str, offline: bool = True, folder: str = CLONE) -> Completed:
    wheelhouse = ("--wheelhouse", WHEELS) if offline else ()
    return host.run([f"{folder}/bootstrap.sh", *wheelhouse, *options], check=False, timeout_s=BOOTSTRAP_TIMEOUT_S)


def traces(host: Host) -> list[str]:
    """What of ours lies on the host, links and units included; the log of the attempt may stay."""
    places = "/opt /etc/hostwright /var/lib/hostwright /run/hostwright /usr/local/bin /etc/systemd/system /tmp"
    found = host.run(f"find {places} 2>/dev/null | grep -i -e hostwright -e '^/tmp/tmp' || true").output.splitlines()
    return sorted(found)


def trusting(host: Host) -> tuple[str, ...]:
    """Options by which a bare host trusts whom this machine trusts, which may be behind a proxy with its own."""
    host.push(Path("/etc/ssl/certs/ca-certificates.crt"), "/root/ca.pem")
    return ("--ca", "/root/ca.pem")


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository as it stands, with a small inventory, in one commit on the branch main."""
    return clone_with(tmp_path_factory.mktemp("repository") / "hostwright", {"inventories/local/site.yaml": SITE})


def clone_with(folder: Path, files: Mapping[str, str]) -> Path:
    """This repository as it stands, with ``files`` instead of its inventories, in one commit on the branch main."""
    for path, text in {"inventories/local/hosts.yaml": "all: {hosts: {localhost: }}\n", **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for name in ("bootstrap.sh", "requirements.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "A small fleet of one"]):
        identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def boot(lab: Lab, clone: Path) -> Boot:
    """Boots a host with the clone in /root/hostwright and no network. On the image ``agent``, bootstrap.sh finds the
    environment installed, which is most of its work, and begins with setting the host up."""

    def up(suite: str = "bookworm", *, image: str = "offline", options: tuple[str, ...] = ()) -> Host:
        booted = lab.boot(suite, image=image, options=options)
        booted.push(clone, CLONE)
        return booted

    return up


@dataclass(frozen=True, slots=True)
class Installed:
    """A host that was bootstrapped, and what that said."""

    machine: Host
    done: Completed


@pytest.fixture(scope="session")
def bootstrapped(boot: Boot) -> Bootstrapped:
    """By suite: what a host is after bootstrap.sh, as an image, and what bootstrap.sh said. One test process makes it,
    and it is kept while nothing that is in it changes."""

    def of(suite: str) -> tuple[Image, Completed]:
        def prepare(folder: Path) -> None:
            with boot(suite) as machine:
                done = bootstrap(machine)
                assert done.code == 0, done.error
                rest(machine)  # a cycle that is cut off is no state to begin with
                machine.freeze(folder / "host")
            (folder / "done.json").write_text(json.dumps(asdict(done)))

        parent = offline(suite)
        folder = prepared(f"{suite}-bootstrapped", parent, digests(*WHEEL_SOURCES, "bootstrap.sh", *_MAKERS), prepare)
        return (folder / "host", *parent), Completed(**json.loads((folder / "done.json").read_text()))

    return of


@pytest.fixture(scope="session")
def installed(lab: Lab, bootstrapped: Bootstrapped) -> Callable[[str], Installed]:
    """One bootstrapped host for each suite, shared by all tests that leave it as it is."""
    known: dict[str, Installed] = {}

    def of(suite: str) -> Installed:
        if suite not in known:
            image, done = bootstrapped(suite)
            known[suite] = Installed(lab.boot(suite, image=image), done)
        return known[suite]

    return of


@pytest.fixture
def machine(lab: Lab, bootstrapped: Bootstrapped) -> Iterator[Host]:
    """A bootstrapped host for one test."""
    with lab.boot("bookworm", image=bootstrapped("bookworm")[0]) as machine:
        yield machine
