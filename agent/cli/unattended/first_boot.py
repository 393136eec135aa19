"""The files and the unit with which a machine without a login bootstraps itself when it boots.

The unit runs a script at each boot until bootstrap.sh has installed the agent; then the script removes both. Values of
the host are in files that no shell reads as commands; the unit is the same text for all hosts.
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
"""The shell reads the whole group in braces before it runs the commands that remove the script."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of root at ``path``. ``plain``: True for text that people may want to read in the document."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o600
    plain: bool = True


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """The ``files`` for ``host``; beside them it needs the unit SERVICE, enabled. ``code``: the one-time code in one of
    them. ``access``: True if they hold keys to the repository. ``embedded``: True if they hold the agent. ``signed``:
    True if the host follows only signed commits."""

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
    ``embedded``: True to include the agent; else bootstrap.sh gets it from the config repo or the ``index``."""
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


def contains_agent(tree: Tree) -> bool:
    """True if the config repo ``tree`` holds the agent, where bootstrap.sh finds it."""
    return None not in (tree.entry("agent/__init__.py"), tree.entry("requirements.txt"))


def _agent() -> bytes:
    bundle = io.BytesIO()
    write_bundle(bundle, {}, None, level=9)
    return bundle.getvalue()
