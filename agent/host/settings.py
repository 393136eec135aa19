"""The settings of a host in /etc/hostwright/agent.yaml: the repository that it follows, and the way there.

The file is the root of all trust on a host, so it is read only if nobody but root can have written it.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agent.domain.commit import TrustMode
from agent.domain.layout import HOST_NAME
from agent.domain.memory import FleetSettings
from agent.domain.near import near
from agent.errors import InventoryError, SettingsError
from agent.host.paths import Paths
from agent.system.files import read_bounded, write_atomic
from agent.system.remote import concealed

SIZE_LIMIT = 64 * 1024
"""Bytes of the file; nine short lines have a few hundred."""

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_BRANCH = re.compile(r"(?!.*(\.\.|//|@\{))[A-Za-z0-9][A-Za-z0-9._/+@-]{0,200}(?<![./])", re.ASCII)
_PLAIN = re.compile(r"[^\x00-\x20\x7f-][^\x00-\x20\x7f]*")
_URL = re.compile(r"https?://[^\x00-\x20\x7f]+")

_HEADER = """\
# What this host follows. Written by bootstrap.sh; `hostwright apply` picks up an edit.
# Nobody but root may read or write this file.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """The repository that this host follows, and the way there."""

    remote: str
    """The config repo: a URL, which may hold a password, or a path that only root can write to."""
    inventory: str
    host: str
    """This host's name in the inventory, exactly."""
    branch: str = "main"
    trust: TrustMode = TrustMode.SIGNED
    min_commit: str | None = None
    """The commit that the first accepted commit must be, or descend from; None for any."""
    status_remote: str | None = None
    """The remote that takes reports; None for the config repo itself."""
    ca: Path | None = None
    """The PEM file with the authorities to trust for https; None for the system's."""
    proxy: str | None = None

    def reports_to(self, fleet: FleetSettings | None = None) -> str:
        """The remote that takes the reports: that of these settings, else that of ``fleet``, else the config repo."""
        return self.status_remote or (fleet.status_remote if fleet is not None else None) or self.remote


def read(paths: Paths) -> Settings:
    """The settings of this host. Raises SettingsError with every complaint, each with file and line."""
    path = paths.settings
    try:
        content = read_bounded(path, SIZE_LIMIT)
        status = path.lstat()
    except FileNotFoundError as error:
        hint = "run bootstrap.sh from a clone of the config repo"
        raise SettingsError(f"{path} is missing: this host follows no repository yet", hint=hint) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}", hint="run this as root") from error
    if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o077:
        raise SettingsError(
            f"{path} is not root's alone (uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"look into it, then chown root: {path} && chmod 600 {path}",
        )
    return parse(content, str(path))


def parse(content: bytes, file: str) -> Settings:
    """The settings in ``content``. ``file``: its name, for complaints. Raises SettingsError with every complaint."""
    values = _without_yaml(content)
    if values is None:
        values = _by_yaml(content, file)
    typed: dict[str, Any] = {key: _TYPES.get(key, str)(value) for key, value in values.items()}
    return Settings(**typed)


def _without_yaml(content: bytes) -> dict[str, str] | None:
    """The values by key, if each line has the plain form that ``render`` mostly writes, and no value is wrong; else
    None. Every command reads this file, and a YAML parser takes 15 ms of CPU to load."""
    if not _PRINTABLE.fullmatch(content):
        return None  # YAML has other line ends too, and refuses some characters
    lines = [line for line in content.decode("ascii").split("\n") if line and line[0] != "#"]
    values = {match[1]: match[2] for line in lines if (match := _SIMPLE.fullmatch(line))}
    if len(values) != len(lines) or not _NEEDED <= values.keys() <= _CHECKS.keys():
        return None
    wrong = any(value.lower() in _NO_TEXT or complaint(key, value) for key, value in values.items())
    return None if wrong else values


def _by_yaml(content: bytes, file: str) -> dict[str, str]:
    # Here and not above: most files have the plain form, and then no command has to load a YAML parser.
    from agent.system import yaml
    from agent.system.document import Map, Scalar

    try:
        document = yaml.load(content, file)
    except InventoryError as error:
        raise SettingsError(error.message, hint=error.hint or f"edit {file}", lines=error.lines) from error
    if not isinstance(document, Map):
        raise SettingsError(f"{file}: not a mapping of settings", hint="write lines like `remote: https://…`")
    complaints: list[str] = []
    values: dict[str, str] = {}
    for key, node in document.values.items():
        where = f"{file}:{document.keys[key].line}"
        if key not in _CHECKS:
            meant = near(str(key), _CHECKS)
            known = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(_CHECKS)}"
            complaints.append(f"{where}: unknown key {key!r}: {known}")
        elif isinstance(node, Scalar) and node.value is None:
            continue
        elif not isinstance(node, Scalar) or not isinstance(node.value, str):
            complaints.append(f"{where}: {key} must be text: put it in quotes")
        elif wrong := complaint(str(key), node.value):
            complaints.append(f"{where}: {wrong}")
        else:
            values[str(key)] = node.value
    unset = [key for key in ("remote", "inventory", "host") if not any(known == key for known in document.values)]
    complaints += [f"{file}: {key} is missing" for key in unset]
    if not complaints and _NEEDED - values.keys():
        complaints = [f"{file}: remote, inventory or host is empty"]
    if complaints:
        raise SettingsError("\n".join(complaints), hint=f"edit {file}", lines=complaints)
    return values


def complaint(key: str, value: str) -> str | None:
    """The mistake in ``value`` for the setting ``key``, and what to write instead; None without one."""
    pattern, wanted = _CHECKS[key]
    return None if pattern.fullmatch(value) else f"{key} cannot be {concealed(value)!r}: {wanted}"


def write(paths: Paths, settings: Settings) -> None:
    """Write the settings, readable to root alone. The same settings always give the same bytes. Raises OSError."""
    write_atomic(paths.settings, render(settings), mode=0o600)


def render(settings: Settings) -> bytes:
    """The text of the file for ``settings``, without those that are None."""
    from agent.system import yaml
    from agent.system.document import Key, Value

    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    document: dict[Key, Value] = {name: str(value) for name, value in values.items() if value is not None}
    return (_HEADER + yaml.dump(document)).encode()


_REPO = "write a URL (https://…, ssh://…, git@host:path) or an absolute path"
_NEEDED = {"remote", "inventory", "host"}
_PRINTABLE = re.compile(rb"[\n -~]*")
_SIMPLE = re.compile(r"([a-z_]+): ([A-Za-z/](?:[A-Za-z0-9._/@:+~=-]*[A-Za-z0-9._/@+~=-])?)")
_NO_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML 1.1 does not read as text."""

_CHECKS: dict[str, tuple[re.Pattern[str], str]] = {
    "remote": (_PLAIN, _REPO),
    "branch": (_BRANCH, "write a branch name like main"),
    "inventory": (HOST_NAME, "write the name of a folder below inventories/"),
    "host": (HOST_NAME, "letters, digits, dots, dashes and underscores"),
    "trust": (re.compile("signed|unsigned"), "write signed or unsigned"),
    "min_commit": (_COMMIT, "write all 40 hex digits of a commit"),
    "status_remote": (_PLAIN, _REPO),
    "ca": (re.compile(r"/[^\x00-\x1f\x7f]+"), "write the absolute path of a PEM file"),
    "proxy": (_URL, "write a URL like http://proxy:3128"),
}
"""The pattern of each setting, and what to write instead of a value that does not match."""
_TYPES: dict[str, type] = {"trust": TrustMode, "ca": Path}
"""The types of the settings that are not text."""
