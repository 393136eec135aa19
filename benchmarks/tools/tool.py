"""A tool that keeps a host as it was told."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.states import State
from tests.lab.host import Host
from tests.lab.images import Image, derived, ready

SUITE = "bookworm"

APT = "apt-get -q update; apt-get -q install --yes --no-install-recommends"


@dataclass(frozen=True, slots=True)
class Tool:
    """``run`` makes the host as it should be, ``look`` only says what it would do; both are lines of shell that end
    with 0. ``files`` turns a state into what the tool reads, ``prepare`` brings that into force."""

    name: str
    version: str
    install: str
    files: Callable[[State], Mapping[str, str]]
    run: str
    look: str
    prepare: Callable[[Host], object] = lambda _: None
    image: Callable[[], Image] | None = None

    def image_of(self) -> Image:
        """A Debian with the tool installed and nothing of it running."""
        return self.image() if self.image else derived(f"{SUITE}-peer-{self.name.lower()}", ready(SUITE), self.install)

    def tell(self, host: Host, state: State) -> None:
        """Write down ``state`` for the tool."""
        for path, text in self.files(state).items():
            host.write(path, text)
        self.prepare(host)


def by_pip(requirement: str, name: str) -> str:
    """Shell that installs a Python program as its documentation says, in an environment of its own."""
    return f"python3 -m venv /opt/{name}; /opt/{name}/bin/pip install --quiet --no-cache-dir {shlex.quote(requirement)}"


def name_of(path: str) -> str:
    return Path(path).name
