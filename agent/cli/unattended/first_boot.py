"""What a machine that nobody logs in to gets on its disk, so that it bootstraps itself when it boots: files and a unit.

The unit runs a script until bootstrap.sh has installed the agent, then both are gone. All that is told about the host
stands in files that no shell reads as commands; the unit is the same text everywhere.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.cli.agent_files import bootstrap_script, write_bundle
from agent.cli.enrolment import INSTALLED, Following
from agent.domain.one_time_code import OneTimeCode
from agent.domain.tree import Tree

FOLDER: Final = "/var/lib/hostwright-first-boot"
SERVICE: Final = "hostwright-first-boot.service"
KEYS_FOLDER: Final = "/etc/hostwright"

UNIT: Final = f"""\
[Unit]
Description=Make this machine a host of its Git repository
Wants=network-online.target
After=network-online.target
ConditionPathExists={FOLDER}/run

[Service]
Type=oneshot
ExecStart=/bin/sh {FOLDER}/run
Environment=HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
StandardOutput=journal+console
StandardError=journal+console
# Nobody is there to start it again: the network, the Git server or an index may be late.
Restart=on-failure
RestartSec=60s
TimeoutStartSec=2h

[Install]
WantedBy=multi-user.target
"""

_SCRIPT: Final = """\
#!/bin/sh
# Made by `hostwright enroll --user-data`: runs at boot until this machine is a host, then goes.
set -eu
cd {folder}
echo '{digest}  {archive}' | sha256sum -c - >/dev/null
{unpack}{{
    code=0
    /bin/sh {folder}/bootstrap.sh --options {folder}/options || code=$?
    case $code in {installed}) ;; *) exit "$code" ;; esac
    cd /
    systemctl --quiet disable {service}
    rm -rf /etc/systemd/system/{service} {folder}
    exit 0
}}
"""
"""The shell reads the braces whole before it runs what removes the script."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of root's at ``path``. ``plain``: its content is text that a person may want to read in the document."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o600
    plain: bool = True


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """``files`` of ``host``, beside the unit SERVICE, which is to be enabled. ``code``: it stands in one of them.
    ``access``: they hold what opens the repository. ``embedded``: they hold the agent. ``signed``: it follows
    signed commits alone."""

    host: str
    code: OneTimeCode
    files: tuple[Placed, ...]
    access: bool
    embedded: bool
    signed: bool


def first_boot(
    host: str, following: Following, keys: Mapping[str, bytes], *, embedded: bool, index: str | None
) -> FirstBoot:
    """The first boot of ``host``, with a new code. ``keys``: its private ssh keys by their names in /etc/hostwright.
    ``embedded``: the agent comes along, else bootstrap.sh takes it from the config repo or the ``index``."""
    code = OneTimeCode.new()
    options = following.options(FOLDER, host, **{"code-file": f"{FOLDER}/code", "index": index})
    name, content = ("agent.tar.gz", _agent()) if embedded else ("bootstrap.sh", bootstrap_script())
    script = _SCRIPT.format(
        folder=FOLDER,
        service=SERVICE,
        archive=name,
        digest=hashlib.sha256(content).hexdigest(),
        unpack=f"tar -xzf {name}\n" if embedded else "",
        installed=" | ".join(f"{code:d}" for code in INSTALLED),
    )
    placed = [
        Placed(f"{FOLDER}/run", script.encode()),
        Placed(f"{FOLDER}/options", options),
        Placed(f"{FOLDER}/code", f"{code.text}\n".encode()),
        *(Placed(f"{FOLDER}/{name}", content) for name, content in following.files.items()),
        *(Placed(f"{KEYS_FOLDER}/{name}", content) for name, content in keys.items()),
        Placed(f"{FOLDER}/{name}", content, plain=False),
    ]
    return FirstBoot(host, code, tuple(placed), bool(keys), embedded, signed=following.signers is not None)


def holds_agent(tree: Tree) -> bool:
    """True if bootstrap.sh finds the agent in the config repo."""
    return None not in (tree.entry("agent/__init__.py"), tree.entry("requirements.txt"))


def _agent() -> bytes:
    bundle = io.BytesIO()
    write_bundle(bundle, {}, None, level=9)
    return bundle.getvalue()
