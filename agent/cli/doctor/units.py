"""The checks of the units: they are there, as they were written, and running."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from agent import __version__
from agent.cli.doctor.finding import QUERY_TIMEOUT_S, Finding, Installation, failed, ok, warning
from agent.host import installation
from agent.host.paths import Paths
from agent.host.versions import Versions
from agent.system import systemd
from agent.system.process import run

_REINSTALL = "run bootstrap.sh again without --once, and the host is kept so"


def service(installed: Installation) -> Iterator[Finding]:
    if not systemd.booted():
        yield warning("no systemd here", "keep `hostwright daemon` running by whatever starts services here")
        return
    for question in ("is-enabled", "is-active"):
        completed = run(["systemctl", question, systemd.DAEMON_UNIT], timeout_s=QUERY_TIMEOUT_S)
        said = completed.output.decode(errors="replace").strip()
        if said in ("", "not-found"):
            yield warning(f"{systemd.DAEMON_UNIT} is not installed", _REINSTALL)
            return
        if not completed.ok:
            unmask = f"systemctl unmask {systemd.DAEMON_UNIT} && " if said.startswith("masked") else ""
            yield failed(f"{systemd.DAEMON_UNIT}: {said}", f"{unmask}systemctl enable --now {systemd.DAEMON_UNIT}")
            return
    yield ok(f"{systemd.DAEMON_UNIT} is enabled and active")
    if installed.paths.previous.is_symlink():
        yield warning(f"agent {__version__} is on trial", "the next cycles decide: hostwright events")


def as_written(installed: Installation) -> Iterator[Finding]:
    """Findings for units that somebody changed: they may have lost what protects the host, or may not start at all."""
    paths = installed.paths
    folder = installation.units_folder(paths)
    if not (folder / systemd.DAEMON_UNIT).exists():
        yield ok("none is installed")
        return
    # While a version is on trial, the units that switch back from it belong to the version before.
    others = installation.REVERT_UNITS if paths.previous.is_symlink() else ()
    for name in (name for name in installation.UNITS if name not in others):
        unit = folder / name
        if unit.is_symlink() and unit.readlink().name == "null":
            yield failed(f"{name} is masked", f"systemctl unmask {name}, then run bootstrap.sh again")
        elif unit.is_symlink() or not unit.is_file() or unit.read_bytes() != _written(name):
            yield failed(f"{unit} is not as the agent wrote it", "put changes into a drop-in; " + _REINSTALL)
        for drop_in in _drop_ins(paths, unit):
            yield warning(f"{drop_in} changes {name}", "does it take away what protects this host?")


def _drop_ins(paths: Paths, unit: Path) -> list[str]:
    """The paths of the drop-ins of ``unit``: those that systemd has read, wherever they are, else those beside it."""
    if systemd.booted() and paths.root == Path("/"):
        argv = ["systemctl", "show", "--property=DropInPaths", "--value", "--", unit.name]
        return run(argv, timeout_s=QUERY_TIMEOUT_S).output.decode(errors="replace").split()
    return sorted(f"{path}" for path in unit.with_name(f"{unit.name}.d").glob("*.conf"))


def _written(name: str) -> bytes:
    return (files("agent.host") / "units" / name).read_bytes()


def webhook(installed: Installation) -> Iterator[Finding]:
    wanted = installed.memory.state().fleet.webhook
    if wanted is None:
        yield ok("none: nobody can ask this host for anything")
    elif not systemd.is_active(systemd.WEBHOOK_UNIT):
        hint = f"journalctl -u {systemd.WEBHOOK_UNIT}"
        yield warning(f"{systemd.WEBHOOK_UNIT} does not run; the host asks by the clock", hint)
    elif not ipaddress.ip_address(wanted.host).is_loopback:
        hint = "listen on 127.0.0.1, behind something that speaks TLS"
        yield warning(f"the webhook listens on {wanted.listen}, without encryption", hint)
    else:
        yield ok(f"listens on {wanted.listen}")


def rescue(installed: Installation) -> Iterator[Finding]:
    """Findings for the files from which the agent can be built again. Without them it is lost with the next upgrade of
    the distribution."""
    paths = installed.paths
    sources = paths.rescue / (Versions(paths).running or __version__) / "sources"
    needed = (*(paths.rescue / name for name in installation.RESCUE_PROGRAMS), sources)
    if missing := [f"{path}" for path in needed if not path.is_file()]:
        why = f"{', '.join(missing)} is missing"
        yield warning(f"agent {__version__} cannot be built again here: {why}", "run bootstrap.sh again")
