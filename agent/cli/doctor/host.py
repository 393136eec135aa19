"""The host itself: what it trusts, who it is, and how it has been."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.cli.doctor.answer import Answer, Verdict
from agent.domain.commit import TrustMode
from agent.domain.report import Phase
from agent.engine.walls import why_unconfined
from agent.host.identity import Identity
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.system.process import run

QUERY_TIMEOUT_S = 20.0
ROOM_WANTED = 200 * 1024 * 1024
"""Bytes that a cycle and a new agent version may need."""


def trust(paths: Paths, settings: Settings) -> Iterator[Answer]:
    own = settings.remote == str(paths.origin)
    if settings.trust is TrustMode.UNSIGNED:
        if own:
            yield Verdict.OK, "unsigned: the remote is this host's own and only root writes to it", ""
        else:
            hint = "sign commits and set trust: signed; whoever can push there is root here"
            yield Verdict.WARNING, "commits are not verified", hint
    elif not paths.trusted_signers.exists():
        yield (
            Verdict.FAILED,
            f"{paths.trusted_signers} is missing",
            "put the administrators' keys there (ssh-keygen(1))",
        )
    else:
        yield Verdict.OK, "only signed commits are accepted", ""


def identity(paths: Paths, settings: Settings) -> Iterator[Answer]:
    Identity.load(paths.identity, settings.host)
    yield Verdict.OK, f"{settings.host} signs its reports with a key of its own", ""


def clock(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """Until when a key counts is told by this host's clock."""
    del paths, settings
    program = shutil.which("timedatectl")
    done = (
        run([program, "show", "--property=NTPSynchronized", "--value"], timeout_s=QUERY_TIMEOUT_S) if program else None
    )
    said = done.output.strip() if done is not None and done.ok else b""
    if said == b"no":
        hint = "timedatectl set-ntp true, or chrony: keys and windows are judged by it"
        yield Verdict.WARNING, "nothing keeps the clock right", hint
    elif said == b"yes":
        yield Verdict.OK, "the clock is kept right", ""
    else:
        yield Verdict.OK, "nobody here tells whether the clock is kept right", ""


def last_cycle(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    memory = Memory(paths)
    state = memory.state()
    memory.trust(), memory.applied()  # unreadable, they end every cycle before it has begun
    if not state.cycles:
        yield Verdict.WARNING, "no cycle has run yet", "hostwright apply"
    elif state.exit:
        _, why, hint = state.cause
        told = f": {why.partition(chr(10))[0]}" if why else ""
        hint = hint or "`hostwright apply` runs one now and says what is wrong"
        yield Verdict.WARNING, f"the last cycle ended with exit code {state.exit} ({state.phase}){told}", hint
    elif state.phase in (Phase.ROLLED_BACK, Phase.INCONCLUSIVE):
        yield Verdict.WARNING, state.phase, "`hostwright plan` says which commit was taken back, and why"
    else:
        yield Verdict.OK, f"{state.phase}", ""
    suspension = memory.suspension(state.ended_at)
    if suspension is not None:
        yield Verdict.WARNING, f"suspended: {suspension.reason}", "hostwright resume"


def disk(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    for folder in (paths.var, paths.opt):
        free = shutil.disk_usage(_existing(folder)).free
        if free < ROOM_WANTED:
            yield Verdict.WARNING, f"{free // 2**20} MiB left for {folder}", "make room"
            return
    yield Verdict.OK, "there is room", ""


def confined_plans(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del paths, settings
    with tempfile.TemporaryDirectory(prefix="hostwright-doctor-") as work:
        reason = why_unconfined(Path(work), QUERY_TIMEOUT_S)
    if reason:
        hint = "plans run with all rights of root here: a newer kernel (5.12), or a container with fewer restrictions"
        yield Verdict.WARNING, f"plans cannot be confined here: {reason}", hint
    else:
        yield Verdict.OK, "plans can read everything and change nothing", ""


def programs(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del paths, settings
    missing = [name for name in ("git", "ssh", "ssh-keygen") if shutil.which(name) is None]
    if missing:
        yield Verdict.FAILED, f"missing: {', '.join(missing)}", "run bootstrap.sh again, it installs them"
    else:
        yield Verdict.OK, "git, ssh, ssh-keygen", ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
