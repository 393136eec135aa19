"""Recipes turned into root file systems, once: each layer lies in the cache under the hash of its recipe.

An image is a stack of layers, the topmost first, as overlayfs takes them. ``base`` is a fresh minimal Debian;
``ready`` adds what bootstrap.sh would install from the distribution, so that most tests need no network.
A layer is built aside and renamed, under a lock: several test processes may ask for it at once.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.removal import remove_tree

Image = tuple[Path, ...]

SUITES = ("bookworm", "trixie")

CACHE = Path(os.environ.get("HOSTWRIGHT_LAB", "/var/cache/hostwright-lab"))

BUILD_TIMEOUT_S = 900
"""A debootstrap takes 50 s on a good line; on a slow mirror much longer."""

DIGITS = 12
"""Of the hash of a recipe, in a layer's name."""

UNUSED_S = 24 * 3600
"""A layer that no boot has used for a day belongs to an older recipe."""

BASE_PACKAGES = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "iproute2")
READY_PACKAGES = ("git", "python3-venv", "openssh-client", "openssh-server", "sudo", "curl", "procps")

EXTRA_CERTIFICATES = Path("/usr/local/share/ca-certificates")
"""Certificates that this machine trusts beyond the distribution's; a host behind the same proxy needs them too."""

_READY_SCRIPT = f"""\
update-ca-certificates >/dev/null
apt-get -q update
apt-get -q install --yes --no-install-recommends {" ".join(READY_PACKAGES)}
apt-get clean
systemctl disable ssh.service ssh.socket 2>/dev/null || true
rm -f /etc/ssh/ssh_host_*
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n' > /etc/systemd/system/ssh.service.d/keys.conf
"""
"""No two hosts have the same ssh keys: whichever starts sshd makes its own."""

_REACHING_OUT = (
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("PIP_INDEX_URL", "PIP_CERT", "UV_DEFAULT_INDEX", "SSL_CERT_FILE", "GIT_SSL_CAINFO"),
)
"""Variables that say how this machine reaches the world; hosts on its network need the same."""

JAIL = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Runs a command in mount and PID namespaces of its own. When it is killed, or the test process dies, the kernel ends
all that it started and takes down all that it mounted."""


def reaching_out() -> dict[str, str]:
    return {name: os.environ[name] for name in _REACHING_OUT if name in os.environ}


def base(suite: str) -> Image:
    return (_cached(f"{suite}-base", [suite, BASE_PACKAGES], lambda root: _debootstrap(suite, root)),)


def ready(suite: str) -> Image:
    return derived(f"{suite}-ready", base(suite), _machine_settings() + _READY_SCRIPT)


def derived(name: str, parent: Image, script: str, recipe: Sequence[object] = (), *binds: str) -> Image:
    """``parent`` changed by a shell script that runs inside it, with this machine's network.

    ``recipe`` is what else decides on the result; ``binds`` are ``source:target`` of folders to look into.
    Raises RuntimeError with the script's last words.
    """

    def build(layer: Path) -> None:
        scratch = layer.with_name(f"{layer.name}.scratch")
        layer.mkdir()
        nspawn = ["systemd-nspawn", "-q", "-D", f"{scratch}/root", "--register=no", "--keep-unit", "--pipe"]
        nspawn += ["--resolv-conf=copy-host", *(f"--bind-ro={bind}" for bind in binds)]
        environment = {"DEBIAN_FRONTEND": "noninteractive", **reaching_out()}
        nspawn += [*(f"--setenv={name}={value}" for name, value in environment.items()), "/bin/sh", "-euc", script]
        _checked(["/bin/sh", "-euc", overlay_script(parent, layer, scratch), *nspawn])
        remove_tree(scratch)

    return (_cached(name, [parent[0].name, script, *recipe], build), *parent)


def prepared(name: str, parent: Image, recipe: Sequence[object], prepare: Callable[[Path], None]) -> Path:
    """A folder of the cache that ``prepare`` filled when it was new, mostly with what became of a host.

    ``parent`` is the image that the host was booted from; ``recipe`` is what else decides on the result.
    """

    def build(folder: Path) -> None:
        folder.mkdir()
        prepare(folder)

    return _cached(name, [[layer.name for layer in parent], *recipe], build)


def overlay_script(image: Image, upper: Path, scratch: Path) -> str:
    """A shell script that mounts ``image`` under ``upper`` at ``scratch/root`` and becomes the command in ``$0 $@``.

    A folder of the image can be renamed there, as on any disk: without ``redirect_dir`` overlayfs refuses (EXDEV). A
    file keeps its inode's number when it is first written to, wherever ``upper`` lies: ``xino``."""
    layers = ":".join(map(str, image))
    options = f"lowerdir={layers},upperdir={upper},workdir={scratch}/work,redirect_dir=on,xino=on"
    return (
        f'mkdir -p {scratch}/work {scratch}/root; mount -t overlay overlay -o {options} {scratch}/root; exec "$0" "$@"'
    )


@functools.cache
def _machine_settings() -> str:
    """Shell that gives a host this machine's own certificates and apt's ways to its mirror."""
    files = {f"{file}": file.read_text() for file in sorted(EXTRA_CERTIFICATES.glob("*.crt"))}
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    ways = [line for line in dump.splitlines() if re.match(r"Acquire::(https?::Proxy|Check-)", line)]
    files["/etc/apt/apt.conf.d/90machine"] = "\n".join(ways)
    return "".join(f"cat > {path} <<'END-OF-FILE'\n{text.rstrip()}\nEND-OF-FILE\n" for path, text in files.items())


def _cached(name: str, recipe: object, build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:DIGITS]
    layer = CACHE / f"{name}-{digest}"
    # Of this name alone: another process may be at work on one that begins in the same way.
    all_of_it = f"{name}-{'[0-9a-f]' * DIGITS}"
    with locked(name):
        if not layer.is_dir():
            building = CACHE / f"{name}-{digest}.building"
            for stale in CACHE.glob(f"{all_of_it}.building*"):
                remove_tree(stale)
            build(building)
            building.rename(layer)
        os.utime(layer)
        for other in CACHE.glob(all_of_it):
            if time.time() - other.stat().st_mtime > UNUSED_S:
                remove_tree(other)
    return layer


def _debootstrap(suite: str, root: Path) -> None:
    _checked(["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", suite, str(root)])
    # An empty file, not a missing one: systemd then takes the id that a host is booted with and keeps it.
    (root / "etc/machine-id").write_text("")


def _checked(command: list[str]) -> None:
    done = subprocess.run(
        [*JAIL, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_TIMEOUT_S,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} … ended with {done.returncode}:\n{done.stdout[-4000:]}")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keeps other test processes of this machine from what has this name in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
