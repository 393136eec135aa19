"""retire: a host leaves its fleet: what the agent did there goes, its report, its identity, its inventory line."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import Desk, Draft, desk_of
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.cli.previews import asked_once, login_of
from agent.cli.retirement import take_out
from agent.errors import Exit, SettingsError, UsageError
from agent.inventory.hosts_file import without_host
from agent.inventory.lock import LOCK_FILE, lock_text
from agent.inventory.secrets import SECRETS, SUFFIX
from agent.system.folder import FolderTree
from agent.system.ssh_host import logged_in, person_at_terminal

UNINSTALL_TIMEOUT_S = 1800.0
SHORT_TIMEOUT_S = 60.0
_KEYS = "cat /etc/hostwright/deploy_key.pub /etc/hostwright/status_key.pub 2>/dev/null || true"


@click.command(cls=CliCommand)
@click.argument("host")
@click.option("--gone", is_flag=True, help="The machine does not answer any more: nothing is done on it.")
@click.option("--commit", is_flag=True, help="Commit and push what was changed in the clone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def retire(output: Output, repo: ConfigRepo, host: str, *, gone: bool, commit: bool, yes: bool) -> Reply | int:
    """Take a host out of its fleet: give the machine back, remove report, identity and inventory line."""
    desk = desk_of(repo)
    desk.require_host(host)
    if commit:
        desk.require_committable()
    what = "only its traces here and on the status branch go" if gone else "the machine is given back as it was"
    draft = _without(output, desk, host, commit=commit)
    draft.require_sound()
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"nobody is there to be asked whether {host} is to be retired", hint="say --yes")
    if not yes and not output.ask(f"retire {host}? {what}"):
        return Exit.INTERRUPTED
    keys = [] if gone else _give_back(output, desk, host)
    for key in keys:
        output.show(f"withdraw from the Git server: {key}")
    return Reply({**take_out(output, draft, host, f"Retire {host}", commit=commit), "keys": keys})


def _give_back(output: Output, desk: Desk, host: str) -> list[str]:
    """Uninstall the agent on the host. Return the public keys by which the host reached its remotes. Raises
    SourceError, SettingsError."""
    with logged_in(login_of(desk.who, host), asked_once(person_at_terminal())) as there:
        keys = there.run(["sh", "-c", _KEYS], timeout_s=SHORT_TIMEOUT_S).output.decode(errors="replace").splitlines()
        argv = ["/usr/local/bin/hostwright", "uninstall", "--yes"]
        done = there.run(argv, on_line=output.say, timeout_s=UNINSTALL_TIMEOUT_S)
    if done.code:
        raise SettingsError(
            f"{host} was not given back: {done.complaint}", hint="see to it there; --gone leaves the machine as it is"
        )
    return keys


def _without(output: Output, desk: Desk, host: str, *, commit: bool) -> Draft:
    """A draft of the clone without the host. If the hosts file has no line that can be removed, the person is told to
    edit it, and with ``commit`` UsageError is raised."""
    lying, files = FolderTree(desk.root), dict[str, bytes | None]()
    names = [f"identities/{host}.pub", *(f"host_vars/{host}{end}" for end in (".yaml", ".yml", ".json", ""))]
    names += [f"{SECRETS}/{host}"] if host not in desk.who.groups else []
    for name in names:
        files |= dict.fromkeys(lying.paths(f"{desk.folder}/{name}"))
    lock, hosts = f"{desk.folder}/{LOCK_FILE}", f"{desk.folder}/hosts.yaml"
    pins = {
        name: pin for name, pin in desk.lock.secrets.items() if f"{desk.folder}/secrets/{name}{SUFFIX}" not in files
    }
    if pins != desk.lock.secrets:
        files[lock] = lock_text(replace(desk.lock, secrets=pins)).encode()
    text = without_host(desk.tree.read(hosts).decode(), host) if desk.tree.entry(hosts) is not None else None
    if text is not None:
        return Draft(desk, {**files, hosts: text.encode()})
    told = f"{host} has no line of its own in {hosts}"
    if commit:
        raise UsageError(
            told, hint="write it on a line of its own, or retire it without --commit and take it out by hand"
        )
    output.say(f"{told}: take it out of the hosts file yourself")
    return Draft(desk, files)
