"""The checks of the host itself: its trust, its identity, its clock, its disk and its last cycle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.cli.doctor.finding import QUERY_TIMEOUT_S, Finding, Installation, failed, ok, warning
from agent.domain.commit import TrustMode
from agent.domain.host_phase import HostPhase
from agent.engine.client import why_unconfined
from agent.host.identity import Identity
from agent.system.process import run

PROGRAMS = ("git", "ssh", "ssh-keygen")
ROOM_WANTED = 200 * 1024 * 1024
"""Bytes that a cycle and a new agent version may need."""


def programs(_: Installation) -> Iterator[Finding]:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        yield failed(f"missing: {', '.join(missing)}", "run bootstrap.sh again, it installs them")


def trust(installed: Installation) -> Iterator[Finding]:
    signers = installed.paths.trusted_signers
    if installed.settings.trust is TrustMode.SIGNED:
        if not signers.exists():
            yield failed(f"{signers} is missing", "put the administrators' keys there (ssh-keygen(1))")
    elif installed.settings.remote == str(installed.paths.origin):
        yield ok("unsigned: the remote is this host's own and only root writes to it")
    else:
        hint = "sign commits and set trust: signed; whoever can push there is root here"
        yield warning("commits are not verified", hint)


def identity(installed: Installation) -> Iterator[Finding]:
    host = installed.settings.host
    Identity.load(installed.paths.identity, host)
    yield ok(f"{host} signs its reports with a key of its own")


def clock(_: Installation) -> Iterator[Finding]:
    """Findings for the clock, by which keys expire."""
    said = b""
    if program := shutil.which("timedatectl"):
        question = [program, "show", "--property=NTPSynchronized", "--value"]
        said = run(question, timeout_s=QUERY_TIMEOUT_S).output.strip()
    if said == b"no":
        hint = "timedatectl set-ntp true, or chrony: keys and windows are judged by it"
        yield warning("nothing keeps the clock right", hint)
    elif said != b"yes":
        yield ok("nobody here tells whether the clock is kept right")


def last_cycle(installed: Installation) -> Iterator[Finding]:
    memory = installed.memory
    state = memory.state()
    memory.trust(), memory.applied()  # raise if damaged: then every cycle ends before it has begun
    if not state.cycles:
        yield warning("no cycle has run yet", "hostwright apply")
    elif state.exit:
        _, why, hint = state.cause
        told = f": {why.partition(chr(10))[0]}" if why else ""
        hint = hint or "`hostwright apply` runs one now and says what is wrong"
        yield warning(f"the last cycle ended with exit code {state.exit} ({state.phase}){told}", hint)
    elif state.phase in (HostPhase.ROLLED_BACK, HostPhase.INCONCLUSIVE):
        yield warning(state.phase, "`hostwright plan` says which commit was taken back, and why")
    else:
        yield ok(state.phase)
    suspension = memory.suspension(state.ended_at)
    if suspension is not None:
        yield warning(f"suspended: {suspension.reason}", "hostwright resume")


def disk(installed: Installation) -> Iterator[Finding]:
    for folder in (installed.paths.var, installed.paths.opt):
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        if free < ROOM_WANTED:
            yield warning(f"{free // 2**20} MiB left for {folder}", "make room")


def confined_plans(_: Installation) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="hostwright-doctor-") as work:
        reason = why_unconfined(Path(work), QUERY_TIMEOUT_S)
    if reason:
        hint = "plans run with all rights of root here: a newer kernel (5.12), or a container with fewer restrictions"
        yield warning(f"plans cannot be confined here: {reason}", hint)
