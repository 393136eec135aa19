"""A person's ssh_config, read by paramiko, with the lines that ``Include`` names put in their places before."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Final

import paramiko

from agent.errors import UsageError

DEPTH_MOST: Final = 16
"""Files that include one another, as in OpenSSH."""
_CONFIGS: Final = ("~/.ssh/config", "/etc/ssh/ssh_config")
_LINE: Final = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.+)")
_HERE: Final = "HostwrightHere"
"""The name of a setting that nobody uses. If a lookup for a host finds it, the lines where it stands count for that
host."""


def configured(host: str) -> paramiko.SSHConfigDict:
    """The settings for ``host``: the person's ssh_config counts before that of the machine. Raises UsageError."""
    lines: list[str] = []
    try:
        for path in _CONFIGS:
            _read(lines, Path(path).expanduser(), host, "Host *", DEPTH_MOST)
        return _parsed(lines).lookup(host)
    except KeyError as error:
        raise _wrong(host, f"{error.args[0]} is missing") from error
    except (OSError, ValueError, ImportError, paramiko.SSHException) as error:
        raise _wrong(host, f"{error}") from error


def _read(lines: list[str], path: Path, host: str, header: str, depth: int) -> None:
    """Add the lines of the file ``path`` and of the files that it includes to ``lines``. ``header``: the Host or Match
    line under which it is included. An Include under a line that does not match ``host`` is left out as a whole."""
    if not depth:
        raise ValueError(f"{path} is included by more than {DEPTH_MOST} files, or by itself")
    try:
        text = path.read_text()
    except FileNotFoundError:
        return
    lines.append(header)
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        keyword = found[1].lower() if found is not None else ""
        if found is None or keyword != "include":
            header = line if keyword in ("host", "match") else header
            lines.append(line)
        elif _HERE.lower() in _parsed([*lines, f"{_HERE} yes"]).lookup(host):
            for pattern in shlex.split(found[2], comments=True):
                for file in _matching(pattern, path):
                    _read(lines, file, host, header, depth - 1)
            lines.append(header)


def _matching(pattern: str, path: Path) -> list[Path]:
    """The files that an Include of ``path`` means, in order."""
    base = Path("/etc/ssh") if path.is_relative_to("/etc/ssh") else Path("~/.ssh").expanduser()
    return sorted(Path("/").glob(f"{base / Path(os.path.expandvars(pattern)).expanduser()}".lstrip("/")))


def _parsed(lines: list[str]) -> paramiko.SSHConfig:
    return paramiko.SSHConfig.from_text("\n".join(lines))


def _wrong(host: str, what: str) -> UsageError:
    return UsageError(f"{host}: ssh_config: {what}", hint=f"`ssh -G {host}` reads the same files")
