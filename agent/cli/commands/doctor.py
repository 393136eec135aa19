"""doctor: checks of a host's installation, by name. Each says what it found; a failed one says what to do.

It looks and changes nothing; what a check needs and cannot have is a finding of that check, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import click

from agent.cli.arguments import pass_output, require_root
from agent.cli.doctor import files, host, remotes, units
from agent.cli.doctor.answer import Answer, Verdict
from agent.cli.output import Output
from agent.errors import Exit, HostwrightError
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.settings import read as read_settings

CHECKS: Mapping[str, Callable[[Paths, Settings], Iterator[Answer]]] = {
    "permissions": files.permissions,
    "control socket": files.control_socket,
    "git": files.git,
    "programs": host.programs,
    "trust": host.trust,
    "identity": host.identity,
    "clock": host.clock,
    "host key": remotes.host_key,
    "remote": remotes.remote,
    "reports": remotes.reports,
    "keys": remotes.keys,
    "service": units.service,
    "units": units.as_written,
    "webhook": units.webhook,
    "rescue": units.rescue,
    "last cycle": host.last_cycle,
    "disk": host.disk,
    "confined plans": host.confined_plans,
}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    message: str
    hint: str = ""


@click.command()
@pass_output
def doctor(output: Output) -> int:
    """Check this host's installation, one line a check; exit 3 when one fails."""
    require_root()
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
