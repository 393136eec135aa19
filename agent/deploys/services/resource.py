"""Units outside of any deploy: looked at, taken away with their files and links, and given back as they were."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

from agent.deploys.kind import Kind, State, state_before
from agent.deploys.services.host import UNIT_FOLDER
from agent.deploys.systemctl import JOB_TIMEOUT_S, QUERY_TIMEOUT_S, query, start, systemctl
from agent.deploys.units import Found, is_template
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError
from agent.system.files import explained, fsync_folder, read_bounded, write_atomic
from agent.system.process import run
from agent.system.systemd import booted

VENDOR_FOLDERS = tuple(map(Path, ("/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")))
"""Where units of packages lie (systemd.unit(5)); /lib/systemd/system is the same folder, or its content is known to
systemd all the same."""

_ABSENT = Found("not-found", "inactive", "dead", "", stale=False, started_us=0, started_monotonic_us=0)


class Units(Kind):
    """State: ``file`` is what lies at /etc/systemd/system/<name> (type, mode and sha256, or a link's target; None for
    nothing), ``enabled`` what systemd says of it (UnitFileState), ``active`` whether it runs, ``id`` its own name where
    ``name`` is another one. The image is the file's content."""

    def __init__(self, folder: Path = UNIT_FOLDER) -> None:
        self._folder = folder

    def look(self, name: str) -> Seen | None:
        file, image = _file(self._folder / name)
        found = _found([name])[name]
        if file is None and not found.exists:
            return None
        state: dict[str, JSON] = {"file": file, "enabled": found.file_state, "active": found.running}
        if found.id not in ("", name):
            state["id"] = found.id
        return Seen(state, image)

    def units(self, entry: LedgerEntry) -> Collection[str]:
        return (entry.name,)

    def changed(self, left: State, now: Seen) -> str:
        was, is_now = left.get("file"), now.state.get("file")
        if was == is_now:
            return ""
        if was is None:
            return "somebody put a unit file there"
        return "its unit file was taken away" if is_now is None else "its unit file was changed"

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        """With ``purge`` goes, too, when persistent timers were last up."""
        stayed: dict[str, str] = {}
        if booted():
            names = [entry.name for entry in entries]
            there = {name for name, found in _found(names).items() if found.exists or is_template(name)}
            # Timers and sockets would start their services again, so all are stopped by one command.
            _run("stop", [name for name in names if name in there and not is_template(name)], JOB_TIMEOUT_S)
            running = {name for name, found in _found(names).items() if found.running}
            stayed = {entry.key: "it does not stop" for entry in entries if entry.name in running}
            _run("disable", [name for name in names if name in there - running], QUERY_TIMEOUT_S)
            if purge:
                timers = [name for name in names if name in there - running and name.endswith(".timer")]
                _run("clean --what=state", timers, QUERY_TIMEOUT_S)
        gone = []
        for entry in entries:
            if entry.key in stayed:
                continue
            # It took a while to stop them; meanwhile a person may have written to the file.
            file, _ = _file(self._folder / entry.name)
            reason = self.changed(entry.left, Seen({"file": file})) if entry.left is not None and file else ""
            if reason:
                stayed[entry.key] = f"changed since: {reason}"
                continue
            try:
                self._erase(entry.name)
                gone.append(entry.name)
            except OSError as error:
                stayed[entry.key] = f"{explained(error, self._folder / entry.name).strerror}"
        if booted() and gone:
            _run("daemon-reload", None, JOB_TIMEOUT_S)
            _run("reset-failed", gone, QUERY_TIMEOUT_S)
        return stayed

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        name, before = entry.name, state_before(entry)
        was = before.get("file")
        now, _ = _file(self._folder / name)
        if now != was:
            self._put_back(name, cast("Mapping[str, JSON] | None", was), image)
        if not booted():
            return
        if now != was:
            systemctl(name, "daemon-reload")
        name = cast("str", before.get("id", name))  # the other name may have gone with its being enabled
        found = _found([name])[name]
        if not found.exists and not is_template(name):
            return  # Its package has gone, and nothing of it is left to be given back.
        enabled = before.get("enabled")
        if enabled != found.file_state and enabled in ("enabled", "disabled"):
            systemctl(name, "enable" if enabled == "enabled" else "disable", name)
        if is_template(name):
            return
        if not before.get("active"):
            if found.running:
                systemctl(name, "stop", name)
        elif not found.running or now != was:
            start(name, "restart")

    def _put_back(self, name: str, was: Mapping[str, JSON] | None, image: bytes | None) -> None:
        """The unit's file as it was. Raises DeployError where its content was not kept."""
        path = self._folder / name
        if was is None:
            path.unlink(missing_ok=True)
        elif "target" in was:
            path.unlink(missing_ok=True)
            path.symlink_to(cast("str", was["target"]))
        elif image is None:
            raise DeployError(f"{name}: what was in {path} was not kept; it is left as it is")
        else:
            write_atomic(path, image, mode=cast("int", was["mode"]))
        fsync_folder(self._folder)

    def _erase(self, name: str) -> None:
        """The unit's file and the links by which others want it; their folders too, where nothing else is in them."""
        for link in self._folder.glob(f"*.*/{name}"):
            if link.is_symlink() and link.parent.suffix in (".wants", ".requires", ".upholds"):
                link.unlink()
                if not any(link.parent.iterdir()):
                    link.parent.rmdir()
        path = self._folder / name
        if os.path.lexists(path):
            path.unlink()
            fsync_folder(self._folder)


def _file(path: Path) -> tuple[dict[str, JSON] | None, bytes | None]:
    """What lies at ``path``, and a regular file's content. Raises OSError."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None, None
    if stat.S_ISLNK(status.st_mode):
        return {"type": "link", "target": f"{path.readlink()}"}, None
    content = read_bounded(path)
    mode = stat.S_IMODE(status.st_mode)
    return {"type": "file", "mode": mode, "sha256": hashlib.sha256(content).hexdigest()}, content


def _found(names: Sequence[str]) -> dict[str, Found]:
    """What systemd knows of units; of templates it shows only instances, so for them it is what lies there."""
    found = {name: _template(name) if is_template(name) else _ABSENT for name in names}
    asked = [name for name in names if not is_template(name)]
    if not asked or not booted():
        return found
    return found | dict(query(asked))


def _template(name: str) -> Found:
    there = any((folder / name).exists() for folder in VENDOR_FOLDERS)
    load = "loaded" if there else "not-found"
    return Found(load, "inactive", "dead", "", stale=False, started_us=0, started_monotonic_us=0)


def _run(verb: str, names: Sequence[str] | None, timeout_s: float) -> None:
    """Tells systemctl; what came of it shows in what the units do then. Without ``names`` it is not about units."""
    if names is None:
        run(["systemctl", "--quiet", verb], timeout_s=timeout_s)
    elif names:
        run(["systemctl", "--quiet", "--no-ask-password", *verb.split(), "--", *names], timeout_s=timeout_s)
