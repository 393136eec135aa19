"""The checks of the servers: their answers, their host keys, and the rights of this host's keys on them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.cli.doctor.finding import Finding, Installation, failed, ok, warning
from agent.remotes import access_of_host, mirror_of_host
from agent.system import ssh
from agent.system.git_command import Access
from agent.system.git_remote import may_push, require_reachable
from agent.system.remote import Remote, Transport

PROBE_TIMEOUT_S = 10.0


def host_key(installed: Installation) -> Iterator[Finding]:
    known_hosts = installed.paths.known_hosts
    for url in filter(ssh.is_ssh, dict.fromkeys((installed.settings.remote, installed.reports_to))):
        found = ssh.probe(url, known_hosts, PROBE_TIMEOUT_S)
        if found.status is ssh.HostKeyStatus.MATCHES:
            yield ok(found.message)
        else:
            hint = f"compare the fingerprint with the server's own, then edit {known_hosts}"
            yield failed(found.message, hint)


def remote(installed: Installation) -> Iterator[Finding]:
    settings = installed.settings
    tip = mirror_of_host(installed.paths, settings).tip(settings.remote, settings.branch)
    yield ok(f"{settings.branch} is at {tip[:12]}")
    if settings.remote.startswith("http://"):
        hint = "use https or ssh: whoever is on the way sees the password, and can withhold commits"
        yield warning("the config repository is reached without encryption", hint)


def reports(installed: Installation) -> Iterator[Finding]:
    """Findings for the remote that takes the reports. It should be another than the config repo: a host that can write
    to that could withhold commits from all others, or fill it."""
    where = installed.reports_to
    if where != installed.settings.remote:
        require_reachable(Remote.parse(where), _access(installed, reporting=True))
    elif where == str(installed.paths.origin):
        yield ok("reports go to this host's own repository")
    else:
        hint = "let reports go to another one: status.remote in fleet.yaml"
        yield warning("reports go to the config repository, so this host can write to it", hint)


def keys(installed: Installation) -> Iterator[Finding]:
    """Findings for keys that can write to the config repo, by a push that sends nothing."""
    paths, config = installed.paths, Remote.parse(installed.settings.remote)
    tip = installed.memory.trust().last
    if config.transport is Transport.FILE:
        yield ok("no key: the remote is a folder of this host")
        return
    if tip is None:
        yield ok("not asked: no commit is trusted yet")
        return
    asked = [(paths.deploy_key, False)]
    if os.path.lexists(paths.status_key):
        asked.append((paths.status_key, True))
    if installed.reports_to == installed.settings.remote:
        asked.pop()  # the key for reports has to write there, and the check `reports` tells that
    reader = _access(installed, reporting=False)
    for key, reporting in asked:
        if may_push(paths.mirror, config, tip, _access(installed, reporting=reporting), reader):
            named = key if os.path.lexists(key) else "what this host reaches its remotes with"
            hint = f"let the server give it read access only; reports go by {paths.status_key}"
            yield warning(f"{named} can write to the config repository", hint)


def _access(installed: Installation, *, reporting: bool) -> Access:
    return access_of_host(installed.paths, installed.settings, reporting=reporting)
