"""The servers: whether they answer, whether they are who they say, and what this host's keys may do there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent import wiring
from agent.cli.doctor.answer import Answer, Verdict
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.system import ssh
from agent.system.git_environment import Access
from agent.system.git_remote import may_push, require_reachable
from agent.system.remote import Remote, Transport

PROBE_TIMEOUT_S = 10.0


def _reports_to(paths: Paths, settings: Settings) -> str:
    return settings.status_remote or Memory(paths).state().fleet.status_remote or settings.remote


def host_key(paths: Paths, settings: Settings) -> Iterator[Answer]:
    asked = [url for url in dict.fromkeys((settings.remote, _reports_to(paths, settings))) if ssh.is_ssh(url)]
    if not asked:
        yield Verdict.OK, "no remote is reached by ssh", ""
    for url in asked:
        found = ssh.probe(url, paths.known_hosts, PROBE_TIMEOUT_S)
        verdict = Verdict.OK if found.status is ssh.HostKeyStatus.MATCHES else Verdict.FAILED
        yield verdict, found.message, f"compare the fingerprint with the server's own, then edit {paths.known_hosts}"


def remote(paths: Paths, settings: Settings) -> Iterator[Answer]:
    tip = wiring.mirror_of_host(paths, settings).tip(settings.remote, settings.branch)
    yield Verdict.OK, f"{settings.branch} is at {tip[:12]}", ""
    where = Remote.parse(settings.remote)
    if where.transport is Transport.HTTP and settings.remote.startswith("http://"):
        hint = "use https or ssh: whoever is on the way sees the password, and can withhold commits"
        yield Verdict.WARNING, "the config repository is reached without encryption", hint


def reports(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """A host that can write to the config repo could withhold commits from all others, or fill it."""
    where = _reports_to(paths, settings)
    if where != settings.remote:
        require_reachable(Remote.parse(where), _access(paths, settings, reporting=True))
        yield Verdict.OK, "reports go to a repository of their own", ""
    elif settings.remote == str(paths.origin):
        yield Verdict.OK, "reports go to this host's own repository", ""
    else:
        hint = "let reports go to another one: status.remote in fleet.yaml"
        yield Verdict.WARNING, "reports go to the config repository, so this host can write to it", hint


def keys(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """Asked of the server, by a push that sends nothing."""
    config = Remote.parse(settings.remote)
    tip = Memory(paths).trust().last
    if config.transport is Transport.FILE:
        yield Verdict.OK, "no key: the remote is a folder of this host", ""
        return
    if tip is None:
        yield Verdict.OK, "not asked: no commit is trusted yet", ""
        return
    asked = [(paths.deploy_key, False)]
    if os.path.lexists(paths.status_key):
        asked.append((paths.status_key, True))
    if _reports_to(paths, settings) == settings.remote:
        asked.pop()  # what reports has to write there, and `reports` says so
    reader = _access(paths, settings, reporting=False)
    ways = [(key, _access(paths, settings, reporting=by)) for key, by in asked]
    found = [key for key, way in ways if may_push(paths.mirror, config, tip, way, reader)]
    for key in found:
        named = key if os.path.lexists(key) else "what this host reaches its remotes with"
        hint = f"let the server give it read access only; reports go by {paths.status_key}"
        yield Verdict.WARNING, f"{named} can write to the config repository", hint
    if not found:
        yield Verdict.OK, "this host can do no more with its keys than it has to", ""


def _access(paths: Paths, settings: Settings, *, reporting: bool) -> Access:
    return wiring.access_of_host(paths, settings, reporting=reporting)
