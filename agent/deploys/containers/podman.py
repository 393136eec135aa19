"""podman on this host: its generator asked whether it takes a quadlet, and images pulled."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.deploys.containers.quadlet_text import FOLDER, image_of, service_of
from agent.deploys.telling import reason
from agent.errors import DeployError
from agent.system.files import read_bounded
from agent.system.process import run

GENERATORS = ("/usr/libexec/podman/quadlet", "/usr/lib/systemd/system-generators/podman-system-generator")

CHECK_TIMEOUT_S = 30.0
"""Seconds; the generator takes 3 ms."""

PULL_TIMEOUT_S = 900.0
"""Seconds; enough for an image of a gigabyte over a slow line. systemd gives a start up after 90 s."""

_UNIT = re.compile(r"^---(\S+)---$", re.MULTILINE)
_COMPLAINT = re.compile(r'^(?:quadlet-generator\[\d+\]: )?(?:converting|loading|error loading) "?([^":]+)"?[:,] ?(.*)$')


def generator() -> str:
    """The path of podman's generator. Raises DeployError if there is none."""
    for path in GENERATORS:
        if os.access(path, os.X_OK):
            return path
    if Path("/usr/bin/podman").exists():
        raise DeployError(
            "this host's podman is older than quadlets, which came with version 4.4",
            hint="leave the deploy out for this host, or bring it to Debian 13 or newer",
        )
    raise DeployError(
        "there is no podman on this host",
        hint="install it in a deploy before this one (`packages: {present: [podman]}`)",
    )


def require_sound(name: str, texts: Mapping[str, str]) -> None:
    """Raise DeployError, with the generator's complaint, if podman does not understand the quadlet ``name``. It is
    tried together with the other ``texts`` of its deploy and with the quadlets that are on the host."""
    tried = {**_others(), **texts}
    while True:
        units, complaints = _generated(tried)
        broken = [other for other in complaints if other != name and other in tried]
        if name in complaints or not broken:
            break
        for other in broken:  # one that cannot be read keeps the generator from going on to the next
            del tried[other]
    if name in complaints or service_of(name, texts[name]) not in units:
        raise DeployError(
            f"{name} is not a quadlet that podman understands: {complaints.get(name, 'it makes no unit of it')}",
            hint="see podman-systemd.unit(5); nothing was changed",
        )


def _generated(texts: Mapping[str, str]) -> tuple[frozenset[str], Mapping[str, str]]:
    """The units that podman's generator makes of these quadlets, and its complaints by quadlet. Raises DeployError."""
    with tempfile.TemporaryDirectory(prefix="hostwright-quadlet-") as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, errors="surrogateescape")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "QUADLET_UNIT_DIRS": folder}
        done = run([generator(), "-dryrun"], timeout_s=CHECK_TIMEOUT_S, env=environment)
        output, said = (
            stream.decode(errors="replace").replace(f"{folder}/", "") for stream in (done.output, done.error)
        )
    if done.timed_out:
        raise DeployError(f"podman's generator of units was not done after {CHECK_TIMEOUT_S:.0f} s")
    complaints = (match for line in said.splitlines() if (match := _COMPLAINT.match(line.strip())))
    return frozenset(_UNIT.findall(output)), {match[1]: match[2] for match in complaints}


def pull(name: str, text: str) -> None:
    """Pull the image of the container ``name`` if the host does not have it. This comes before the start of the unit,
    which would not wait so long. Raises DeployError if the image cannot be had."""
    image = image_of(name, text)
    if not image or run(["podman", "image", "exists", image], timeout_s=CHECK_TIMEOUT_S).ok:
        return
    done = run(["podman", "pull", "--quiet", image], timeout_s=PULL_TIMEOUT_S)
    if done.timed_out:
        raise DeployError(f"{name}: the image {image} had not come after {PULL_TIMEOUT_S:.0f} s")
    if not done.ok:
        raise DeployError(f"{name}: the image {image} cannot be had: {reason(done)}")


def _others() -> Mapping[str, str]:
    """The texts of the quadlets that are on the host, by file name; without those that cannot be read."""
    found = {}
    folder = Path(FOLDER)
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found[path.name] = read_bounded(path).decode(errors="surrogateescape")
        except OSError:
            continue
    return found
