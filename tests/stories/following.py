"""Hosts that follow a world and have converged, as images: made once for all test processes, and kept while neither the
agent nor what makes them changes. To boot one takes a tenth of the seconds.

    begun = following(lab, "bookworm")
    world = begun.world.copy(tmp_path / "world")
    host = wake(lab, begun)
    point(host, "/srv/config.git")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gitserver import Author, HttpServer, author, http_server
from tests.lab.host import Host
from tests.lab.images import Image, prepared
from tests.lab.installed import agent, digests, instrumented
from tests.lab.lab import Lab
from tests.stories.world import MOTD, World, follow, rest

PORT = 8417
"""Where such a host finds the Git server of its world on its own loopback."""

CONFIG = f"http://127.0.0.1:{PORT}/config.git"

_RECIPE = digests("tests/stories/following.py", "tests/stories/world.py", "tests/gitserver.py", "tests/lab/*.py")


@dataclass(frozen=True, slots=True)
class Followed:
    """A world, and the image of a host that followed it; both are for copies only. Its daemon does not start by itself.
    ``signer``: who alone may sign there, if anybody."""

    suite: str
    world: World
    image: Image
    signer: Author | None = None


def following(lab: Lab, suite: str, *, instruments: bool = False) -> Followed:
    """A host that follows the first commit of a world, unsigned. ``instruments``: it has strace and libfaketime."""
    parent = (instrumented if instruments else agent)(suite)

    def prepare(folder: Path) -> None:
        _follow(lab, suite, parent, folder, World(folder / "world"))

    folder = prepared(f"{suite}-following{'-instrumented' * instruments}", parent, _RECIPE, prepare)
    return Followed(suite, World(folder / "world"), (folder / "host", *parent))


def following_signed(lab: Lab, suite: str) -> Followed:
    """A host that follows a world in which only Ann may sign."""
    parent = agent(suite)

    def prepare(folder: Path) -> None:
        ann, world = author(folder / "keys", "ann"), World(folder / "world")
        world.site(MOTD, by=ann)
        files = {"/root/signers": f"{ann.line}\n"}
        _follow(lab, suite, parent, folder, world, "--trusted-signers", "/root/signers", files=files)

    folder = prepared(f"{suite}-following-signed", parent, _RECIPE, prepare)
    ann = Author("ann", folder / "keys/ann")
    return Followed(suite, World(folder / "world"), (folder / "host", *parent), ann)


def _follow(
    lab: Lab, suite: str, image: Image, folder: Path, world: World, *options: str, files: dict[str, str] | None = None
) -> None:
    """Makes the host, which holds ``files``, below ``folder``. ``options`` go to `hostwright setup`."""
    with http_server(world.served) as server, lab.boot(suite, image=image, name="web1") as host:
        for path, text in (files or {}).items():
            host.write(path, text)
        host.reach(server.port, at=PORT)
        follow(host, CONFIG, *options)
        rest(host)
        host.run("systemctl disable --quiet hostwright.service")
        host.freeze(folder / "host")


def wake(lab: Lab, begun: Followed, **options: Any) -> Host:
    """web1 of ``begun``: its daemon starts with the next boot. ``options`` go to ``Lab.boot``."""
    host = lab.boot(begun.suite, image=begun.image, name="web1", **options)
    host.run("systemctl enable --quiet hostwright.service")
    return host


@contextmanager
def at_rest(lab: Lab, begun: Followed, server: HttpServer) -> Iterator[Host]:
    """web1 of ``begun``. ``server`` serves a copy of its world. It runs no cycle but those that a test asks for."""
    with wake(lab, begun) as host:
        host.reach(server.port, at=PORT)
        host.reach(server.port)
        yield host


def point(host: Host, remote: str) -> None:
    """As an administrator moves a host to another server."""
    host.run(["sed", "-i", f"s|^remote:.*|remote: {remote}|", "/etc/hostwright/agent.yaml"])
