"""Images with what the agent needs, so that most tests need neither the network nor the seconds of an installation.

``offline`` adds to ``ready`` a folder of wheels for ``bootstrap.sh --wheelhouse``. ``agent`` adds to that the agent
itself, as bootstrap.sh installs it and marked as whole, so that bootstrap.sh finds nothing left to install; it is not
set up: no settings, no identity, no units. The dependencies are a layer of their own, under the hash of the lock: a
changed line of the agent costs two seconds. ``bare`` is ``base`` with that folder of wheels and an apt repository:
there bootstrap.sh finds all that it misses. ``containers`` is ``agent`` with podman below it, and a tiny image to run;
``instrumented`` is ``agent`` with strace and libfaketime; ``provisioned`` is ``agent`` with what machines are set up by
at their first boot, and checks it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from tests.lab.images import Image, base, derived, ready

ROOT = Path(__file__).parents[2]

WHEELHOUSE = "/srv/wheels"

_WHEELS = f"""\
python3 -m venv /srv/pip
/srv/pip/bin/pip download --quiet --require-hashes --only-binary :all: --dest {WHEELHOUSE} -r /source/requirements.txt
"""

_PIP_INSTALL = f"""\
version=$(sed -n 's/^__version__ = "\\(.*\\)"$/\\1/p' /source/agent/__init__.py)
environment=/opt/hostwright/versions/$version
[ -e "$environment" ] || python3 -m venv --without-pip "$environment"
/srv/pip/bin/pip --python "$environment/bin/python" install --quiet --no-index --find-links {WHEELHOUSE} --no-deps \\
"""

_DEPENDENCIES = f"{_PIP_INSTALL} -r /source/requirements.txt\n"

_AGENT = f"""\
{_PIP_INSTALL} --no-build-isolation /source
ln -s "versions/$version" /opt/hostwright/current
ln -s /opt/hostwright/current/bin/hostwright /usr/local/bin/hostwright
"$environment/bin/python" -I - > "$environment/.complete" <<'END'
from pathlib import Path
from agent.host.environment import find_agent
print(find_agent(Path("/source")).digest)
END
"""

_PODMAN = """\
apt-get -q update
apt-get -q install --yes --no-install-recommends podman crun netavark aardvark-dns busybox-static
apt-get clean
printf '[containers]\nkeyring=false\npids_limit=0\n' > /etc/containers/containers.conf
mkdir -p /opt/tiny/bin
cp "$(command -v busybox)" /opt/tiny/bin/busybox
ln -s busybox /opt/tiny/bin/sh
ln -s busybox /opt/tiny/bin/sleep
tar -C /opt/tiny -cf /opt/tiny.tar bin
"""
"""Inside nspawn there is neither a kernel keyring nor a pids controller to hand out."""

_MIRROR = """\
mkdir /srv/mirror
cd /srv/mirror
apt-get -q update
apt-get -q install --download-only --yes {packages}
mv /var/cache/apt/archives/*.deb .
for each in *.deb; do
    dpkg-deb --field "$each"
    echo "Filename: ./$each"
    echo "Size: $(stat -c %s "$each")"
    echo "SHA256: $(sha256sum < "$each" | cut -c-64)"
    echo
done > Packages
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] copy:/srv/mirror ./' > /etc/apt/sources.list
apt-get -q update
"""
"""Each apt has to read all that it can install: a second of CPU where that is Debian."""

_WANTED = _MIRROR.format(packages="bc cowsay cron figlet hello jq moreutils nano sl toilet tree")
_MISSING = _MIRROR.format(
    packages="--no-install-recommends --reinstall git openssh-client ca-certificates python3-venv"
    " sudo jq nano rsync tree iproute2"
)
_BARE = f"{_MISSING}\ncp -r /wheels {WHEELHOUSE}\n"

_INSTRUMENTS = """\
apt-get -q update
apt-get -q install --yes --no-install-recommends strace libfaketime
apt-get clean
"""

_PROVISIONERS = """\
apt-get -q update
apt-get -q install --yes --no-install-recommends cloud-init ignition
apt-get clean
echo 'locale: C.UTF-8' > /etc/cloud/cloud.cfg.d/90lab.cfg
"""
"""cloud-init cannot make en_US.UTF-8, its default: the image has no sources of locales."""

CONTAINER_OPTIONS = ("--system-call-filter=bpf", "--tmpfs=/var/lib/containers")
CONTAINER_ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
"""With these nspawn boots a host on which containers start: their devices' rules are BPF programs of the unified
hierarchy, and overlayfs does not lie on overlayfs. Podman's netavark needs a network of the host's own, too."""

_LOCK = "requirements.txt"
WHEEL_SOURCES = (
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "agent/**/*.py",
    "agent/host/units/*",
    "agent/host/rescue.sh",
)
"""What the wheel of the agent is made from."""


def offline(suite: str) -> Image:
    return derived(f"{suite}-offline", ready(suite), _WHEELS, digests(_LOCK), f"{ROOT}:/source")


def agent(suite: str) -> Image:
    return derived(f"{suite}-agent", _dependencies(suite), _AGENT, digests(*WHEEL_SOURCES), f"{ROOT}:/source")


def containers(suite: str) -> Image:
    return _with_agent(suite, f"{suite}-podman", _PODMAN)


def bare(suite: str) -> Image:
    wheels = f"{offline(suite)[0]}{WHEELHOUSE}:/wheels"
    return derived(f"{suite}-bare", base(suite), _BARE, digests(_LOCK), wheels)


def mirrored(suite: str) -> Image:
    return _with_agent(suite, f"{suite}-mirror", _WANTED)


def instrumented(suite: str) -> Image:
    return _with_agent(suite, f"{suite}-instruments", _INSTRUMENTS)


def provisioned(suite: str) -> Image:
    return _with_agent(suite, f"{suite}-provisioners", _PROVISIONERS)


def _dependencies(suite: str) -> Image:
    recipe = digests(_LOCK, "agent/__init__.py")
    return derived(f"{suite}-dependencies", offline(suite), _DEPENDENCIES, recipe, f"{ROOT}:/source")


def _with_agent(suite: str, name: str, script: str) -> Image:
    """``agent`` with what a script adds below it, in a layer of this name. The agent's layer is the same everywhere: it
    holds only places of its own."""
    return (agent(suite)[0], *derived(name, _dependencies(suite), script))


@functools.cache
def digests(*patterns: str) -> tuple[tuple[str, str], ...]:
    """Path and content of the repository's files, for the recipe."""
    files = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return tuple((f"{path.relative_to(ROOT)}", hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
