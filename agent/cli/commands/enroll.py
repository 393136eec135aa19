"""enroll: one command at a desk from a bare machine that answers by SSH to a host that is admitted to its fleet, or the
document that a machine boots with where nobody logs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from agent.cli.admitting import admit_hosts
from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import Desk, Draft, desk_of
from agent.cli.enrolment import SHORT_TIMEOUT_S, Enrolled, Following, access_wanted, enroll_host
from agent.cli.invocation import EXISTING_FILE, EXISTING_FOLDER, FILE, CliCommand, Reply
from agent.cli.output import Output
from agent.cli.previews import asked_once, in_parallel, login_of
from agent.cli.unattended import boot_of, show_document
from agent.cli.user_data import FORMATS, contains_agent
from agent.domain.layout import HOST_GRAMMAR, HOST_NAME, INVENTORIES
from agent.domain.text import printable
from agent.domain.tree import Tree
from agent.errors import UsageError, first_exit
from agent.inventory.hosts_file import with_host
from agent.system import own_git
from agent.system.allowed_signers import parse
from agent.system.openssh import lines_about
from agent.system.remote import Remote, Transport, checked_branch
from agent.system.revisions import Revisions
from agent.system.ssh_host import Login, logged_in, person_at_terminal
from agent.system.working_copy import Checkout


@click.command(cls=CliCommand)
@click.argument("targets", nargs=-1, metavar="[USER@]HOST|PATTERN...")
@click.option("--as", "name", metavar="NAME", help="The host's name in the inventory; without it, patterns are given.")
@click.option("--group", help="Add it to this group of hosts.yaml, where it is in none.")
@click.option("--commit", is_flag=True, help="Commit and push what was written.")
@click.option("--fingerprint", metavar="SHA256:…", help="The host's key, where known_hosts does not have it.")
@click.option("--remote", metavar="URL", help="The config repo as hosts reach it [the clone's origin].")
@click.option("--branch", help="The branch that they follow [the clone's].")
@click.option("--trust", type=click.Choice(["signed", "unsigned"]), default="signed", help="As bootstrap.sh has it.")
@click.option("--deploy-key-command", "key_command", metavar="CMD", help="Run as CMD NAME read|write, key on stdin.")
@click.option("--wheelhouse", type=EXISTING_FOLDER, help="Packages for hosts without a package index.")
@click.option(
    "--user-data", "form", type=click.Choice(list(FORMATS)), help="Print what a machine boots with, instead of SSH."
)
@click.option("--output", "written_to", type=FILE, help="Write that to a file that only you can read.")
@click.option("--deploy-key", type=EXISTING_FILE, help="The private key that goes along for the config repo.")
@click.option("--status-key", type=EXISTING_FILE, help="The one for the repository of reports, where that is another.")
@click.option("--index", metavar="URL", help="The package index that has the agent.")
def enroll(
    output: Output,
    repo: ConfigRepo,
    targets: Sequence[str],
    *,
    name: str | None,
    group: str | None,
    commit: bool,
    fingerprint: str | None,
    remote: str | None,
    branch: str | None,
    trust: str,
    key_command: str | None,
    wheelhouse: Path | None,
    form: str | None,
    written_to: Path | None,
    deploy_key: Path | None,
    status_key: Path | None,
    index: str | None,
) -> Reply:
    """Make machines hosts of an inventory: over SSH, or by what a machine without a login boots with."""
    given = {"--output": written_to, "--deploy-key": deploy_key, "--status-key": status_key, "--index": index}
    over_ssh = {"--fingerprint": fingerprint, "--deploy-key-command": key_command, "--wheelhouse": wheelhouse}
    _require_apart(form, targets, over_ssh if form else given)
    desk = desk_of(repo)
    if name is not None and not HOST_NAME.fullmatch(name):
        raise UsageError(f"{printable(name)} is no name for a host", hint=HOST_GRAMMAR)
    if form is not None:
        if name is None:
            raise UsageError("--user-data is for one machine", hint="say which host it becomes: --as NAME")
        if written_to is not None and written_to.resolve().is_relative_to(desk.root.resolve()):
            raise UsageError("--output is in the config repo, and it holds secrets", hint="name a file outside of it")
        _see_to_host(output, desk, name, group, commit=commit)
        following = _following(desk, remote=remote, branch=branch, trust=trust)
        given_keys = {"deploy_key": deploy_key, "status_key": status_key}
        embedded = index is None and not contains_agent(desk.tree)
        boot = boot_of(name, following, given_keys, desk, index=index, embedded=embedded)
        return show_document(output, boot, form, written_to)
    if name is not None:
        if len(targets) > 1:
            raise UsageError("--as is for one machine", hint="enroll several by their names in the inventory")
        logins = {name: Login.parse(targets[0], fingerprint)}
    else:
        hosts = desk.who.match(":".join(targets))
        if not hosts:
            raise UsageError(
                f'no host of {INVENTORIES}/{desk.inventory} matches "{printable(":".join(targets))}"',
                hint="a machine that is to become a host needs a name: --as NAME",
            )
        if fingerprint is not None and len(hosts) > 1:
            raise UsageError("--fingerprint is for one machine", hint="have the others in known_hosts")
        logins = {host: login_of(desk.who, host, fingerprint) for host in hosts}
    new = _added(desk, name, group) if name is not None and name not in desk.who.hosts else None
    following = replace(
        _following(desk, remote=remote, branch=branch, trust=trust), key_command=key_command, wheelhouse=wheelhouse
    )
    ask, many = asked_once(person_at_terminal()), len(logins) > 1
    if commit:
        desk.require_committable()
    if new is not None and name is not None:
        with logged_in(logins[name], ask) as there:
            there.run(["true"], timeout_s=SHORT_TIMEOUT_S)
        _add(output, desk, new, f"Add {name} to {group}", commit=commit)
        following = replace(following, min_commit=_pushed(desk.copy.checkout, following.branch))

    def enrolled(host: str) -> Enrolled:
        tell = (lambda line: output.say(f"{host}: {line}")) if many else output.say
        return enroll_host(host, logins[host], ask, following, tell)

    found = in_parallel(output, [*logins], enrolled, lambda host, error: Enrolled(host, exit=error.exit, error=error))
    return _conclude(output, desk, found, commit=commit)


def _require_apart(form: str | None, targets: Sequence[str], others: Mapping[str, object]) -> None:
    """Raise UsageError if options of the two ways to enroll are mixed. ``others``: the options of the way not taken."""
    if form is None and not targets:
        raise UsageError(
            "no machine is named", hint="[USER@]HOST --as NAME, a pattern, or --user-data FORMAT --as NAME"
        )
    if form is not None and targets:
        raise UsageError("--user-data is for a machine that nobody logs in to", hint="leave out its address")
    if wrong := [option for option, value in others.items() if value is not None]:
        raise UsageError(f"{wrong[0]} {'does not go with' if form else 'is for'} --user-data", hint="leave it out")


def _conclude(output: Output, desk: Desk, found: Sequence[Enrolled], *, commit: bool) -> Reply:
    """Admit the hosts that were enrolled. Return the reply of the command."""
    identities = {each.host: each.identity.encode() for each in found if each.error is None}
    done = admit_hosts(output, desk, identities, commit=commit)
    errors = [each.error for each in found if each.error is not None]
    if len(found) > 1:
        output.show_table(
            ("host", "enrolled"), ((each.host, f"no: {each.error.message}" if each.error else "yes") for each in found)
        )
    for error in errors:
        output.problem(error)
    code = first_exit([*(each.exit for each in found), *(error.exit for error in done.failures)])
    data = {each.host: {"identity": each.identity or None, "exit": int(each.exit)} for each in found}
    return Reply(data, code, [*errors, *done.failures])


def _added(desk: Desk, name: str, group: str | None) -> Draft:
    """A draft of the hosts file with a new host in it. Raises UsageError if a person has to do something first,
    InventoryError if the inventory could not be read with it."""
    path = f"{desk.folder}/hosts.yaml"
    if group is None:
        raise UsageError(f"{name} is not in {path}", hint=f"add `{name}:` to a group's hosts, or say --group GROUP")
    content = _read(desk.tree, path)
    text = with_host(content.decode(), group, name) if content is not None else None
    if text is None:
        raise UsageError(f"{path} has no group {group} that {name} could be put into", hint=f"add `{name}:` by hand")
    draft = Draft(desk, {path: text.encode()})
    draft.require_sound()
    return draft


def _add(output: Output, desk: Desk, draft: Draft, subject: str, *, commit: bool) -> None:
    """Put a new host into the clone, and with ``commit`` into the remote. Raises UsageError without ``commit``."""
    [path] = draft.write()
    output.say(f"written: {path}")
    if not commit:
        raise UsageError("hosts follow commits", hint=f"commit and push {path}, then run this again; --commit does it")
    own_git.commit_and_push(desk.root, subject, path)


def _see_to_host(output: Output, desk: Desk, name: str, group: str | None, *, commit: bool) -> None:
    """Put ``name`` into the inventory unless it is there. Raises UsageError, InventoryError."""
    if name in desk.who.hosts:
        return
    draft = _added(desk, name, group)
    if commit:
        desk.require_committable()
    _add(output, desk, draft, f"Add {name} to {group}", commit=commit)


def _following(desk: Desk, *, remote: str | None, branch: str | None, trust: str) -> Following:
    url = remote or desk.copy.checkout.origin
    if not url:
        raise UsageError(f"{desk.root} has no remote `origin`", hint="say which repository hosts follow: --remote URL")
    branch = checked_branch(branch or desk.copy.checkout.ask("symbolic-ref", "--short", "HEAD") or "main")
    remotes = {"config": url, "status": url if desk.status_remote == "same" else desk.status_remote}
    signers = _read(desk.tree, f"{INVENTORIES}/{desk.inventory}/trusted_signers")
    if trust == "signed" and not parse(signers or b""):
        raise UsageError(
            f"nobody may sign: {INVENTORIES}/{desk.inventory}/trusted_signers names nobody",
            hint="write it (docs/operations.md, Signing commits), or say --trust unsigned",
        )
    return Following(
        remote=url,
        branch=branch,
        inventory=desk.inventory,
        min_commit=_pushed(desk.copy.checkout, branch),
        signers=signers if trust == "signed" else None,
        known_hosts=_known(remotes),
        access=access_wanted(remotes),
    )


def _pushed(checkout: Checkout, branch: str) -> str | None:
    """The commit of origin's branch at the last fetch or push; None if there is none."""
    return Revisions(checkout.git).find(f"refs/remotes/origin/{branch}")


def _known(remotes: Mapping[str, str]) -> bytes:
    """The lines of this person's known_hosts for the Git servers of ``remotes``."""
    file = Path("~/.ssh/known_hosts").expanduser()
    parsed = (Remote.parse(url) for url in dict.fromkeys(remotes.values()))
    lines = [line for each in parsed if each.transport is Transport.SSH for line in lines_about(each, file)]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode()


def _read(tree: Tree, path: str) -> bytes | None:
    try:
        return tree.read(path)
    except KeyError:
        return None
