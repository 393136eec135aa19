"""doctor: checks of a host's installation, by name. Each says what it found; a failed one says what to do."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from agent import wiring
from agent.cli.output import Output
from agent.domain.commit import TrustMode
from agent.engine.walls import why_unconfined
from agent.errors import Exit, HostwrightError, UsageError
from agent.host.identity import Identity
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.system import ssh, systemd
from agent.system.files import require_owned_throughout
from agent.system.process import run

QUERY_TIMEOUT_S = 20.0
PROBE_TIMEOUT_S = 10.0
ROOM_WANTED = 200 * 1024 * 1024
"""Bytes that a cycle and a new agent version may need."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    message: str
    hint: str = ""


def doctor(output: Output) -> int:
    """All checks, one line each; exit 3 when one failed, 0 with warnings."""
    if os.geteuid() != 0:
        raise UsageError("this command needs root", hint="run it with sudo")
    findings = list(findings_of(Paths()))
    for finding in findings:
        output.show(f"{finding.verdict.value:<8} {finding.check:<14} {finding.message}")
        if finding.hint and finding.verdict is not Verdict.OK:
            output.show(f"{'':<24}→ {finding.hint}")
    failed = any(finding.verdict is Verdict.FAILED for finding in findings)
    code = int(Exit.SETTINGS if failed else Exit.FINE)
    output.envelope("doctor", code, [asdict(finding) for finding in findings])
    return code


def findings_of(paths: Paths) -> Iterator[Finding]:
    try:
        settings = read_settings(paths)
    except HostwrightError as error:
        yield Finding("settings", Verdict.FAILED, error.message, error.hint)
        return
    yield Finding("settings", Verdict.OK, f"{settings.host} of {settings.inventory} from {settings.remote}")
    for name, check in CHECKS.items():
        try:
            yield from (Finding(name, verdict, message, hint) for verdict, message, hint in check(paths, settings))
        except HostwrightError as error:
            yield Finding(name, Verdict.FAILED, error.message, error.hint)
        except OSError as error:
            yield Finding(name, Verdict.FAILED, f"{error.filename or ''}: {error.strerror or error}")


Answer = tuple[Verdict, str, str]


def _permissions(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    for path in (paths.etc, paths.var, paths.opt):
        require_owned_throughout(path, 0)
    for path in (paths.settings, paths.identity, paths.deploy_key, paths.status_key):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Verdict.FAILED, f"{path} can be read by others", f"chmod go= {path}"
            return
    yield Verdict.OK, "settings, state and programs belong to root alone", ""


def _trust(paths: Paths, settings: Settings) -> Iterator[Answer]:
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


def _identity(paths: Paths, settings: Settings) -> Iterator[Answer]:
    Identity.load(paths.identity, settings.host)
    yield Verdict.OK, f"{settings.host} signs its reports with a key of its own", ""


def _host_key(paths: Paths, settings: Settings) -> Iterator[Answer]:
    if not ssh.is_ssh(settings.remote):
        yield Verdict.OK, "the remote is not reached by ssh", ""
        return
    found = ssh.probe(settings.remote, paths.known_hosts, PROBE_TIMEOUT_S)
    verdict = Verdict.OK if found.status is ssh.HostKeyStatus.MATCHES else Verdict.FAILED
    yield verdict, found.message, f"compare the fingerprint with the server's own, then edit {paths.known_hosts}"


def _remote(paths: Paths, settings: Settings) -> Iterator[Answer]:
    tip = wiring.mirror_of_host(paths, settings).tip(settings.remote, settings.branch)
    yield Verdict.OK, f"{settings.branch} is at {tip[:12]}", ""


def _service(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del paths, settings
    hint = "run bootstrap.sh again without --once, and the host is kept so"
    if not systemd.booted():
        yield Verdict.WARNING, "no systemd here", "keep `hostwright daemon` running by whatever starts services here"
        return
    for question in ("is-enabled", "is-active"):
        completed = run(["systemctl", question, systemd.DAEMON_UNIT], timeout_s=QUERY_TIMEOUT_S)
        if completed.output.strip() in (b"", b"not-found"):
            yield Verdict.WARNING, f"{systemd.DAEMON_UNIT} is not installed", hint
            return
        if not completed.ok:
            hint = f"systemctl enable --now {systemd.DAEMON_UNIT}"
            yield Verdict.FAILED, f"{systemd.DAEMON_UNIT}: {completed.output.decode().strip()}", hint
            return
    yield Verdict.OK, f"{systemd.DAEMON_UNIT} is enabled and active", ""


def _last_cycle(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    memory = Memory(paths)
    state = memory.state()
    memory.trust(), memory.applied()  # unreadable, they end every cycle before it has begun
    if not state.cycles:
        yield Verdict.WARNING, "no cycle has run yet", "hostwright apply"
    elif state.exit:
        hint = "`hostwright apply` runs one now and says what is wrong"
        yield Verdict.WARNING, f"the last cycle ended with exit code {state.exit} ({state.phase})", hint
    else:
        yield Verdict.OK, f"{state.phase}", ""
    suspension = memory.suspension(state.ended_at)
    if suspension is not None:
        yield Verdict.WARNING, f"suspended: {suspension.reason}", "hostwright resume"


def _disk(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    for folder in (paths.var, paths.opt):
        free = shutil.disk_usage(_existing(folder)).free
        if free < ROOM_WANTED:
            yield Verdict.WARNING, f"{free // 2**20} MiB left for {folder}", "make room"
            return
    yield Verdict.OK, "there is room", ""


def _confined_plans(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del paths, settings
    with tempfile.TemporaryDirectory(prefix="hostwright-doctor-") as work:
        reason = why_unconfined(Path(work), QUERY_TIMEOUT_S)
    if reason:
        hint = "plans run with all rights of root here: a newer kernel (5.12), or a container with fewer restrictions"
        yield Verdict.WARNING, f"plans cannot be confined here: {reason}", hint
    else:
        yield Verdict.OK, "plans can read everything and change nothing", ""


def _programs(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del paths, settings
    missing = [name for name in ("git", "ssh", "ssh-keygen") if shutil.which(name) is None]
    if missing:
        yield Verdict.FAILED, f"missing: {', '.join(missing)}", "run bootstrap.sh again, it installs them"
    else:
        yield Verdict.OK, "git, ssh, ssh-keygen", ""


CHECKS: dict[str, Callable[[Paths, Settings], Iterator[Answer]]] = {
    "permissions": _permissions,
    "programs": _programs,
    "trust": _trust,
    "identity": _identity,
    "host key": _host_key,
    "remote": _remote,
    "service": _service,
    "last cycle": _last_cycle,
    "disk": _disk,
    "confined plans": _confined_plans,
}


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
