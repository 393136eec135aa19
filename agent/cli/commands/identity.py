"""identity: on a host, the lines that admit it, and new keys; at a desk, the admitted hosts, and revoking."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import APPLY_WAIT_S, CliGroup, Reply
from agent.cli.output import Output
from agent.host.identity import PublicIdentity, admitted, public_lines
from agent.host.paths import Paths
from agent.host.settings import read as read_settings


@click.group(cls=CliGroup, invoke_without_command=True)
def identity() -> None:
    """Print the public keys that admit this host to its fleet."""


@identity.command()
def show(output: Output, paths: Paths) -> Reply:
    """The same."""
    settings = read_settings(paths)
    ssh, age = public_lines(paths.identity, settings.host)
    fingerprint = PublicIdentity(ssh).fingerprint
    output.show(ssh, age)
    output.say(f"in the config repo: hostwright admit {settings.host} --fingerprint {fingerprint}")
    output.say(f"or merge them as inventories/{settings.inventory}/identities/{settings.host}.pub to admit this host")
    return Reply({"host": settings.host, "ssh": ssh, "age": age, "fingerprint": fingerprint})


@identity.command()
def rotate(output: Output, paths: Paths) -> Reply:
    """Make new keys on a host and ask to be admitted with them. The old ones count until that is merged."""
    from agent import wiring
    from agent.errors import UsageError
    from agent.host.lock import locked
    from agent.host.state import Memory
    from agent.remotes import mirror_of_host

    settings = read_settings(paths)
    if settings.remote == str(paths.origin):
        raise UsageError(
            "this host follows its own repository: nobody admits it",
            hint=f"remove {paths.identity}, and the next cycle makes new keys",
        )
    with locked(paths.lock, wait_s=APPLY_WAIT_S), closing(mirror_of_host(paths, settings)) as mirror:
        fingerprint, made = wiring.reporter_of_host(paths, settings, mirror, Memory(paths)).rotate()
    output.show(f"{settings.host} asks to be admitted with {fingerprint}")
    if not made:
        output.say("these were made before and wait to be admitted; no others are made until they are")
    output.say(
        f"in the config repo: hostwright admit {settings.host} --commit; until that is merged, the old keys count"
    )
    return Reply({"host": settings.host, "fingerprint": fingerprint})


@identity.command("list")
def list_admitted(output: Output, repo: ConfigRepo) -> Reply:
    """Show at a desk the hosts that the clone admits, with their keys' fingerprints, and those that it does not."""
    from agent.cli.desk import desk_of

    desk = desk_of(repo)
    found, wrong = admitted(desk.tree, desk.inventory)
    prints = {host: each.fingerprint for host, each in found.items()}
    rows = [(host, prints.get(host, "not admitted"), _reads(found, host)) for host in desk.who.hosts]
    strangers = sorted(set(found) - set(desk.who.hosts))
    rows += [(host, prints[host], "not in the inventory") for host in strangers]
    output.show_table(("host", "fingerprint", "secrets"), rows)
    for error in wrong:
        output.problem(error)
    data = {host: {"fingerprint": prints[host], "age": found[host].age} for host in found}
    return Reply({"admitted": data, "not admitted": sorted(set(desk.who.hosts) - set(found))})


@identity.command()
@click.argument("host")
@click.option("--commit", is_flag=True, help="Commit and push it.")
def revoke(output: Output, repo: ConfigRepo, host: str, *, commit: bool) -> Reply:
    """End at a desk the admission of a host. Its identity and its report go, the machine is left as it is."""
    from agent.cli.desk import Draft, desk_of
    from agent.cli.retirement import take_out
    from agent.errors import UsageError

    desk = desk_of(repo)
    path = f"{desk.folder}/identities/{host}.pub"
    if desk.tree.entry(path) is None:
        raise UsageError(f"{host} is not admitted", hint="hostwright identity list")
    if commit:
        desk.require_committable()
    revoked = admitted(desk.tree, desk.inventory)[0].get(host)
    draft = Draft(desk, {path: None})
    draft.require_sound()
    key = revoked.key if revoked is not None else ""
    done = take_out(output, draft, host, f"Revoke {host}", commit=commit, key=key)
    output.say("take its keys off the Git server")
    return Reply(done)


def _reads(found: Mapping[str, PublicIdentity], host: str) -> str:
    each = found.get(host)
    return "" if each is None else "can be read by it" if each.age else "no age key: hostwright identity there has it"
