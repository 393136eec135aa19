"""doctor: the checks of an installation, a row each. They change nothing.

If a check raises an error, that error is its finding; the other checks go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from agent import __version__
from agent.cli.doctor import files, host, remotes, units
from agent.cli.doctor.finding import Finding, Installation, Look, Verdict, failed, ok
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.errors import Exit, HostwrightError
from agent.host.paths import Paths
from agent.host.settings import read as read_settings

CHECKS: tuple[tuple[str, Look, str], ...] = (
    ("permissions", files.permissions, "settings, state, keys and programs belong to root alone"),
    ("control socket", files.control_socket, "only root can ask the daemon"),
    ("git", files.git, "no configuration but the agent's own counts"),
    ("programs", host.programs, ", ".join(host.PROGRAMS)),
    ("trust", host.trust, "only signed commits are accepted"),
    ("identity", host.identity, ""),
    ("clock", host.clock, "the clock is kept right"),
    ("host key", remotes.host_key, "no remote is reached by ssh"),
    ("remote", remotes.remote, ""),
    ("reports", remotes.reports, "reports go to a repository of their own"),
    ("keys", remotes.keys, "this host can do no more with its keys than it has to"),
    ("service", units.service, ""),
    ("units", units.as_written, "the units are as the agent wrote them"),
    ("webhook", units.webhook, ""),
    ("rescue", units.rescue, f"agent {__version__} can be built again for another Python"),
    ("last cycle", host.last_cycle, ""),
    ("disk", host.disk, "there is room"),
    ("confined plans", host.confined_plans, "plans can read everything and change nothing"),
)
"""The name of each check, its function, and the message if that has no finding."""


@click.command(cls=CliCommand)
def doctor(output: Output, paths: Paths) -> Reply:
    """Check this host's installation, one line a check; exit 3 when one fails."""
    findings = list(findings_of(paths))
    for name, found in findings:
        output.show(f"{found.verdict.value:<8} {name:<14} {found.message}")
        if found.hint:
            output.show(f"{'':<24}→ {found.hint}")
    code = Exit.SETTINGS if any(found.verdict is Verdict.FAILED for _, found in findings) else Exit.FINE
    return Reply([{"check": name, **asdict(found)} for name, found in findings], code)


def findings_of(paths: Paths) -> Iterator[tuple[str, Finding]]:
    """The findings of all checks, each with the name of its check."""
    try:
        settings = read_settings(paths)
    except HostwrightError as error:
        yield "settings", failed(error.message, error.hint)
        return
    yield "settings", ok(f"{settings.host} of {settings.inventory} from {settings.remote}")
    installed = Installation(paths, settings)
    for name, look, fine in CHECKS:
        found: list[Finding] = []
        try:
            found += look(installed)
        except HostwrightError as error:
            found.append(failed(error.message, error.hint))
        except OSError as error:
            found.append(failed(f"{error.filename or ''}: {error.strerror or error}"))
        yield from ((name, each) for each in found or [ok(fine)])
