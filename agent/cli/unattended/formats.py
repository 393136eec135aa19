"""A first boot written as the documents that clouds and installers take.

Each kind of text has one way of escaping: YAML and JSON are written by their libraries, data URLs have percent signs or
base64, and a document that a shell reads holds values only as base64.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from agent.cli.unattended.first_boot import SERVICE, UNIT, FirstBoot, Placed
from agent.errors import UsageError
from agent.system.yaml import Value, dump

UNITS: Final = "/etc/systemd/system"

IGNITION_VERSION: Final = "3.0.0"
"""The oldest version of the format, which every Ignition 2 reads."""

PRESEED_LIMIT: Final = 120_000
"""Bytes. The installer gives the command to a shell as one argument, which Linux limits to 128 KiB."""

_UNPACK: Final = "umask 077; base64 -d {} | tar -xzmC /"
_PARKED: Final = "/.hostwright-first-boot"


def cloud_init(boot: FirstBoot) -> str:
    return f"#cloud-config\n{_about(boot)}{dump(_cloud_config(boot))}"


def autoinstall(boot: FirstBoot) -> str:
    document: Value = {"autoinstall": {"version": 1, "user-data": _cloud_config(boot)}}
    return f"#cloud-config\n{_about(boot)}{dump(document)}"


def ignition(boot: FirstBoot) -> str:
    document = {
        "ignition": {"version": IGNITION_VERSION},
        "storage": {"files": [_ignition_file(placed) for placed in boot.files]},
        "systemd": {"units": [{"name": SERVICE, "enabled": True, "contents": UNIT}]},
    }
    return f"{json.dumps(document, indent=2)}\n"


def preseed(boot: FirstBoot) -> str:
    unpack = f"{_UNPACK.format(_PARKED)}; rm {_PARKED}"
    parked = f"(umask 077; echo {_archive(boot)} >/target{_PARKED})"
    command = f"{parked} && in-target sh -ec '{unpack}'"
    if len(command) > PRESEED_LIMIT:
        raise UsageError(
            "the agent is too large for a preseed file", hint="say where bootstrap.sh finds it: --index URL"
        )
    return f"{_about(boot)}d-i preseed/late_command string {command}\n"


def kickstart(boot: FirstBoot) -> str:
    return f"{_about(boot)}%post --erroronfail\n{_UNPACK.format('<<END')}\n{_archive(boot)}\nEND\n%end\n"


FORMATS: Final[Mapping[str, Callable[[FirstBoot], str]]] = {
    "cloud-init": cloud_init,
    "ignition": ignition,
    "preseed": preseed,
    "autoinstall": autoinstall,
    "kickstart": kickstart,
}


def _about(boot: FirstBoot) -> str:
    """A comment line, in which `admit` finds the code."""
    return f"# {boot.host}, by `hostwright enroll --user-data`, one-time code {boot.code.text}. It holds secrets.\n"


def _cloud_config(boot: FirstBoot) -> Value:
    files = [*boot.files, Placed(f"{UNITS}/{SERVICE}", UNIT.encode(), 0o644)]
    start: list[Value] = [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", SERVICE]]
    return {"write_files": [_cloud_file(placed) for placed in files], "runcmd": start}


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
        for placed in [*boot.files, Placed(f"{UNITS}/{SERVICE}", UNIT.encode(), 0o644)]:
            entry = tarfile.TarInfo(placed.path.removeprefix("/"))
            entry.size, entry.mode = len(placed.content), placed.mode
            archive.addfile(entry, io.BytesIO(placed.content))
        link = tarfile.TarInfo(f"{UNITS}/multi-user.target.wants/{SERVICE}".removeprefix("/"))
        link.type, link.linkname = tarfile.SYMTYPE, f"../{SERVICE}"
        archive.addfile(link)
    return _coded(file.getvalue())


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()
