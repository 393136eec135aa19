"""retire: a host leaves its fleet: what the agent did there goes, its report, its identity, its inventory line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from agent.cli.arguments import pass_config_repo, pass_output
from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import Desk, desk_of
from agent.cli.leaving import remove_files, withdraw
from agent.cli.output import Output
from agent.cli.previews import asked_once, login_of
from agent.domain.layout import INVENTORIES
from agent.errors import Exit, SettingsError, UsageError
from agent.inventory.complaint import nearest
from agent.inventory.hosts_file import without_host
from agent.system import own_git
from agent.system.files import write_atomic
from agent.system.ssh_host import logged_in, person_at_terminal

UNINSTALL_TIMEOUT_S = 1800.0
SHORT_TIMEOUT_S = 60.0
_KEYS = "cat /etc/hostwright/deploy_key.pub /etc/hostwright/status_key.pub 2>/dev/null || true"


@click.command()
@click.argument("host")
@click.option("--gone", is_flag=True, help="The machine does not answer any more: nothing is done on it.")
@click.option("--commit", is_flag=True, help="Commit and push what was changed in the clone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_config_repo
@pass_output
def retire(output: Output, repo: ConfigRepo, host: str, *, gone: bool, commit: bool, yes: bool) -> int:
    """Take a host out of its fleet: give the machine back, remove report, identity and inventory line."""
    desk = desk_of(repo)
    if host not in desk.who.hosts:
        raise UsageError(f"{host} is not in {INVENTORIES}/{desk.inventory}", hint=nearest(host, desk.who.hosts))
    if commit:
        own_git.require_pushed(desk.root)
    what = "only its traces here and on the status branch go" if gone else "the machine is given back as it was"
    if not yes and sys.stdin.isatty() and not output.ask(f"retire {host}? {what}"):
        return int(Exit.INTERRUPTED)
    keys = [] if gone else _give_back(output, desk, host)
    withdraw(output, desk, host)
    changed = _take_out(output, desk, host)
    for key in keys:
        output.show(f"withdraw from the Git server: {key}")
    if changed and commit:
        sha = own_git.commit_and_push(desk.root, f"Retire {host}", *changed)
        output.say(f"committed and pushed {sha[:12]}")
    elif changed:
        output.say(f"commit and push: {', '.join(changed)}")
    output.envelope("retire", 0, {"host": host, "changed": list(changed), "keys": keys})
    return 0


def _give_back(output: Output, desk: Desk, host: str) -> list[str]:
    """Uninstall the agent there; return the public keys by which the host reached its remotes."""
    with logged_in(login_of(desk.who, host), asked_once(person_at_terminal())) as there:
        keys = there.run(["sh", "-c", _KEYS], timeout_s=SHORT_TIMEOUT_S).output.decode(errors="replace").splitlines()
        argv = ["/usr/local/bin/hostwright", "uninstall", "--yes"]
        done = there.run(argv, on_line=output.say, timeout_s=UNINSTALL_TIMEOUT_S)
    if done.code:
        raise SettingsError(
            f"{host} was not given back: {done.complaint}", hint="see to it there; --gone leaves the machine as it is"
        )
    return keys


def _take_out(output: Output, desk: Desk, host: str) -> Sequence[str]:
    """Take it out of the files of the clone; return the paths that changed."""
    folder = f"{INVENTORIES}/{desk.inventory}"
    variables = (f"host_vars/{host}{end}" for end in (".yaml", ".yml", ".json", ""))
    changed = remove_files(desk, f"identities/{host}.pub", *variables)
    hosts = f"{folder}/hosts.yaml"
    file: Path = desk.root / hosts
    text = without_host(file.read_text(), host) if file.is_file() else None
    if text is None:
        output.say(f"take {host} out of the hosts file of {folder} yourself: it is not written one host a line there")
    else:
        write_atomic(file, text.encode(), mode=0o644)
        changed.append(hosts)
    return changed
