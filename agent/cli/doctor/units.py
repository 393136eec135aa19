"""The units: there, as they were written, and running."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from agent import __version__
from agent.cli.doctor.answer import Answer, Verdict
from agent.host import installation
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.host.versions import Versions
from agent.system import systemd
from agent.system.process import run

QUERY_TIMEOUT_S = 20.0
_REINSTALL = "run bootstrap.sh again without --once, and the host is kept so"


def service(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    if not systemd.booted():
        yield Verdict.WARNING, "no systemd here", "keep `hostwright daemon` running by whatever starts services here"
        return
    for question in ("is-enabled", "is-active"):
        completed = run(["systemctl", question, systemd.DAEMON_UNIT], timeout_s=QUERY_TIMEOUT_S)
        said = completed.output.decode(errors="replace").strip()
        if said in ("", "not-found"):
            yield Verdict.WARNING, f"{systemd.DAEMON_UNIT} is not installed", _REINSTALL
            return
        if not completed.ok:
            unmask = f"systemctl unmask {systemd.DAEMON_UNIT} && " if said.startswith("masked") else ""
            hint = f"{unmask}systemctl enable --now {systemd.DAEMON_UNIT}"
            yield Verdict.FAILED, f"{systemd.DAEMON_UNIT}: {said}", hint
            return
    yield Verdict.OK, f"{systemd.DAEMON_UNIT} is enabled and active", ""
    if paths.previous.is_symlink():
        yield Verdict.WARNING, f"agent {__version__} is on trial", "the next cycles decide: hostwright events"


def as_written(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """A unit that somebody changed may have lost what protects the host, or may not start at all."""
    del settings
    folder = installation.units_folder(paths)
    if not (folder / systemd.DAEMON_UNIT).exists():
        yield Verdict.OK, "none is installed", ""
        return
    fine = True
    # What switches back from a version on trial is of the one before it.
    trial = paths.previous.is_symlink()
    for name in (name for name in installation.UNITS if not (trial and name in installation.REVERT_UNITS)):
        unit = folder / name
        if unit.is_symlink() and unit.readlink().name == "null":
            fine = False
            yield Verdict.FAILED, f"{name} is masked", f"systemctl unmask {name}, then run bootstrap.sh again"
        elif unit.is_symlink() or not unit.is_file() or unit.read_bytes() != _written(name):
            fine = False
            yield Verdict.FAILED, f"{unit} is not as the agent wrote it", "put changes into a drop-in; " + _REINSTALL
        for drop_in in _drop_ins(paths, unit):
            fine = False
            yield Verdict.WARNING, f"{drop_in} changes {name}", "does it take away what protects this host?"
    if fine:
        yield Verdict.OK, "the units are as the agent wrote them", ""


def _drop_ins(paths: Paths, unit: Path) -> list[str]:
    """Wherever they lie, as systemd has read them."""
    if systemd.booted() and paths == Paths():
        argv = ["systemctl", "show", "--property=DropInPaths", "--value", "--", unit.name]
        return run(argv, timeout_s=QUERY_TIMEOUT_S).output.decode(errors="replace").split()
    return sorted(f"{path}" for path in unit.with_name(f"{unit.name}.d").glob("*.conf"))


def _written(name: str) -> bytes:
    return (files("agent.host") / "units" / name).read_bytes()


def webhook(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    wanted = Memory(paths).state().fleet.webhook
    if wanted is None:
        yield Verdict.OK, "none: nobody can ask this host for anything", ""
    elif not systemd.is_active(systemd.WEBHOOK_UNIT):
        hint = f"journalctl -u {systemd.WEBHOOK_UNIT}"
        yield Verdict.WARNING, f"{systemd.WEBHOOK_UNIT} does not run; the host asks by the clock", hint
    elif not ipaddress.ip_address(wanted.host).is_loopback:
        hint = "listen on 127.0.0.1, behind something that speaks TLS"
        yield Verdict.WARNING, f"the webhook listens on {wanted.listen}, without encryption", hint
    else:
        yield Verdict.OK, f"listens on {wanted.listen}", ""


def rescue(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """Without it the host is lost with the next upgrade of its distribution."""
    del settings
    kept = paths.rescue / (Versions(paths).running or __version__)
    missing = [
        f"{path}"
        for path in (*(paths.rescue / name for name in installation.RESCUE_PROGRAMS), kept / "sources")
        if not path.is_file()
    ]
    if missing:
        hint = "run bootstrap.sh again"
        yield Verdict.WARNING, f"agent {__version__} cannot be built again here: {', '.join(missing)} is missing", hint
    else:
        yield Verdict.OK, f"agent {__version__} can be built again for another Python", ""
