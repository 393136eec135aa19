"""The laboratory: boots hosts, and takes all of them down at the end.

    with lab.boot("bookworm") as host:
        host.run("apt-get install -y nginx")

``base`` is a bare Debian, and ``bare`` one with an apt repository of its own that holds what bootstrap.sh misses there;
``ready`` (the default) has git, Python with venv, ssh, sudo and curl; ``offline`` has the wheels of requirements.txt in
/srv/wheels, as ``bare`` has, and ``agent`` the agent installed; ``containers`` has podman beside it, ``mirrored`` an
apt repository of its own.

A host has a network of its own: its loopback, and on it the servers of this machine that ``host.reach(port)`` names. It
reaches no registry; a host that is ``online`` does, for it shares this machine's network. Such a host listens only on
ports that nobody has.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.lab import images, installed
from tests.lab.host import Host
from tests.lab.network import PREFIX, Network, clear_away
from tests.lab.removal import remove_tree

PROGRAMS = ("systemd-nspawn", "debootstrap", "unshare", "nsenter", "setpriv", "ip")

MEMORY = Path("/dev/shm")
"""A tmpfs, mostly. What hosts write lies there if there is room: a third of the CPU seconds of a host that installs
itself went into ext4, which looks long for an inode where thousands were just removed."""

ROOM_BYTES = 4 * 2**30

INOTIFY_INSTANCES = 1024
"""Shared by all hosts; with the kernel's default of 128 twenty hosts come up degraded."""

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")

KINDS: dict[str, Callable[[str], images.Image]] = {
    "base": images.base,
    "bare": installed.bare,
    "ready": images.ready,
    "offline": installed.offline,
    "agent": installed.agent,
    "containers": installed.containers,
    "mirrored": installed.mirrored,
}


def missing() -> str:
    """Why hosts cannot be booted on this machine; empty when they can."""
    if os.geteuid() != 0:
        return "needs root on Debian with systemd-nspawn: not root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"needs root on Debian with systemd-nspawn: no {', '.join(absent)} (bash tests/run installs them)"
    return ""


class Lab:
    def __init__(self) -> None:
        self._hosts: list[Host] = []
        self._networks: list[Network] = []
        self._counter = itertools.count(1)
        self._inotify = int(_INOTIFY.read_text())

    def boot(
        self,
        suite: str,
        *,
        image: str | images.Image = "ready",
        name: str | None = None,
        network: Network | None = None,
        online: bool = False,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        disk: bool = False,
    ) -> Host:
        """A new host of a Debian suite, up and running.

        ``network``: beside other hosts. ``online``: on this machine's network. Otherwise it is alone.
        ``options`` and ``environment`` go to systemd-nspawn. ``disk``: its power can be lost.
        """
        layers = KINDS[image](suite) if isinstance(image, str) else image
        number = next(self._counter)
        name = name or f"{suite}-{number}"
        plugged = network.attach(name) if network else []
        folder = self._folder / f"{os.getpid()}-{number}"
        alone = not (network or online)
        host = Host(name, layers, folder, [*options, *plugged], environment, alone=alone, disk=disk)
        self._hosts.append(host)
        host.boot()
        return host

    @property
    def hosts(self) -> list[Host]:
        """Those that run, in the order in which they were made."""
        return [host for host in self._hosts if host.running]

    def network(self) -> Network:
        """A network for hosts that will be cut off; it is there until all tests are done."""
        network = Network(next(self._counter))
        self._networks.append(network)
        return network

    def __enter__(self) -> Self:
        images.CACHE.mkdir(parents=True, exist_ok=True)
        _clear_away()
        place = MEMORY if _has_room(MEMORY) else images.CACHE
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=place))
        if self._inotify < INOTIFY_INSTANCES:
            _INOTIFY.write_text(f"{INOTIFY_INSTANCES}\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for host in reversed(self._hosts):  # the later may stand on what an earlier one was
            host.destroy()
        for network in self._networks:
            network.close()
        remove_tree(self._folder)


def _has_room(place: Path) -> bool:
    return (
        place.is_mount()
        and shutil.disk_usage(place).free > ROOM_BYTES
        and psutil.virtual_memory().available > ROOM_BYTES
    )


def _clear_away() -> None:
    """Removes what killed test processes left: files and networks. Mounts and processes died with them."""
    with images.locked("hosts"):
        clear_away()
        for folder in (*MEMORY.glob(f"{PREFIX}-*"), *images.CACHE.glob(f"{PREFIX}-*")):
            # Anybody may put something into a tmpfs for all; nobody else can replace a folder of root's there
            with contextlib.suppress(FileNotFoundError):  # one whose process has removed it, and ended since
                if folder.lstat().st_uid == os.geteuid() and not psutil.pid_exists(int(folder.name.split("-")[1])):
                    remove_tree(folder)
