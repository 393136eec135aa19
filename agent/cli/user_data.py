"""User-data: the files and the unit with which a machine that nobody logs in to bootstraps itself at its first boot,
written as the documents that clouds and installers take.

The unit runs a script at each boot until bootstrap.sh has installed the agent; then the script removes both. Values of
the host are in files that no shell reads as commands; the unit is the same text for all hosts.

Each kind of text has one way of escaping: YAML and JSON are written by their libraries, data URLs have percent signs or
base64, and a document that a shell reads holds values only as base64.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from agent.cli.agent_files import bootstrap_script, write_bundle
from agent.cli.enrolment import INSTALLED, Following
from agent.domain.one_time_code import OneTimeCode
from agent.domain.tree import Tree
from agent.errors import UsageError
from agent.system.document import Value
from agent.system.yaml import dump

FOLDER: Final = "/var/lib/hostwright-first-boot"
SERVICE: Final = "hostwright-first-boot.service"
KEYS_FOLDER: Final = "/etc/hostwright"

_UNIT: Final = f"""\
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

_UNITS: Final = "/etc/systemd/system"

IGNITION_VERSION: Final = "3.0.0"
"""The oldest version of the format, which every Ignition 2 reads."""

PRESEED_LIMIT: Final = 120_000
"""Bytes. The installer gives the command to a shell as one argument, which Linux limits to 128 KiB."""

_UNPACK: Final = "umask 077; base64 -d {} | tar -xzmC /"
_PARKED: Final = "/.hostwright-first-boot"


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


def _cloud_init(boot: FirstBoot) -> str:
    return f"#cloud-config\n{_about(boot)}{dump(_cloud_config(boot))}"


def _autoinstall(boot: FirstBoot) -> str:
    document: Value = {"autoinstall": {"version": 1, "user-data": _cloud_config(boot)}}
    return f"#cloud-config\n{_about(boot)}{dump(document)}"


def _ignition(boot: FirstBoot) -> str:
    document = {
        "ignition": {"version": IGNITION_VERSION},
        "storage": {"files": [_ignition_file(placed) for placed in boot.files]},
        "systemd": {"units": [{"name": SERVICE, "enabled": True, "contents": _UNIT}]},
    }
    return f"{json.dumps(document, indent=2)}\n"


def _preseed(boot: FirstBoot) -> str:
    unpack = f"{_UNPACK.format(_PARKED)}; rm {_PARKED}"
    parked = f"(umask 077; echo {_archive(boot)} >/target{_PARKED})"
    command = f"{parked} && in-target sh -ec '{unpack}'"
    if len(command) > PRESEED_LIMIT:
        raise UsageError(
            "the agent is too large for a preseed file", hint="say where bootstrap.sh finds it: --index URL"
        )
    return f"{_about(boot)}d-i preseed/late_command string {command}\n"


def _kickstart(boot: FirstBoot) -> str:
    return f"{_about(boot)}%post --erroronfail\n{_UNPACK.format('<<END')}\n{_archive(boot)}\nEND\n%end\n"


FORMATS: Final[Mapping[str, Callable[[FirstBoot], str]]] = {
    "cloud-init": _cloud_init,
    "ignition": _ignition,
    "preseed": _preseed,
    "autoinstall": _autoinstall,
    "kickstart": _kickstart,
}


def _about(boot: FirstBoot) -> str:
    """A comment line, in which `admit` finds the code."""
    return f"# {boot.host}, by `hostwright enroll --user-data`, one-time code {boot.code.text}. It holds secrets.\n"


def _with_unit(boot: FirstBoot) -> tuple[Placed, ...]:
    return (*boot.files, Placed(f"{_UNITS}/{SERVICE}", _UNIT.encode(), 0o644))


def _cloud_config(boot: FirstBoot) -> Value:
    start: list[Value] = [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", SERVICE]]
    return {"write_files": [_cloud_file(placed) for placed in _with_unit(boot)], "runcmd": start}


def _cloud_file(placed: Placed) -> Value:
    text = _text(placed)
    coded: dict[str | int | float | None, Value] = (
        {"content": text} if text is not None else {"encoding": "gz+b64", "content": _packed(placed)}
    )
    return {"path": placed.path, "permissions": f"{placed.mode:04o}", **coded}


def _ignition_file(placed: Placed) -> dict[str, Any]:
    text = _text(placed)
    contents = (
        {"source": f"data:,{quote(text, safe='')}"}
        if text is not None
        else {
            "source": f"data:;base64,{_packed(placed)}",
            "compression": "gzip",
        }
    )
    return {"path": placed.path, "mode": placed.mode, "overwrite": True, "contents": contents}


def _text(placed: Placed) -> str | None:
    """The content as text; None if it is not plain ASCII text."""
    return placed.content.decode() if placed.plain and placed.content.isascii() else None


def _packed(placed: Placed) -> str:
    return _coded(gzip.compress(placed.content, mtime=0))


def _archive(boot: FirstBoot) -> str:
    """A compressed tar archive of the files, the unit and the link that enables it, in base64."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=9) as archive:
        for placed in _with_unit(boot):
            entry = tarfile.TarInfo(placed.path.removeprefix("/"))
            entry.size, entry.mode = len(placed.content), placed.mode
            archive.addfile(entry, io.BytesIO(placed.content))
        link = tarfile.TarInfo(f"{_UNITS}/multi-user.target.wants/{SERVICE}".removeprefix("/"))
        link.type, link.linkname = tarfile.SYMTYPE, f"../{SERVICE}"
        archive.addfile(link)
    return _coded(file.getvalue())


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()
