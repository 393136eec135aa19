"""setup: the second half of bootstrap.sh, which makes a machine with the agent's environment follow a config repo.

It tries everything before it leaves anything behind: it fetches the remote, verifies the newest commit, reads the
inventory and finds this host in it. On a failure it takes back what it wrote, so a wrong URL or name leaves no trace.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import Field, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from agent import __version__
from agent.cli.doctor.files import require_owned
from agent.cli.first_cycle import closing_words, followed, run_agent, run_first_cycle
from agent.cli.first_entries import begin_ledger
from agent.cli.hostnames import choose_host, choose_inventory, own_names
from agent.cli.interrupts import interruptible
from agent.cli.invocation import EXISTING_FILE, EXISTING_FOLDER, CliCommand, require_root
from agent.cli.output import Output
from agent.domain.commit import Accept, TrustedCommit, TrustMode
from agent.domain.layout import INVENTORIES
from agent.domain.memory import TrustRecord
from agent.errors import (
    InventoryError,
    SourceError,
    TrustError,
    UsageError,
)
from agent.host import anchors, installation, origin
from agent.host.identity import Identity
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import Settings, complaint, render
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.host.undo import Undo
from agent.host.versions import Versions
from agent.inventory.load import load
from agent.remotes import mirror_of_host
from agent.steps.fetch import fetch
from agent.steps.verify import accepted, verify
from agent.system.git_incoming import incoming_of
from agent.system.mirror import Mirror
from agent.system.remote import Remote, without_password
from agent.system.systemd import booted

LOCK_WAIT_S = 600.0
"""Seconds to wait for a running cycle; to install a package or two takes minutes."""

_Talk = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SetupOptions:
    """The options of bootstrap.sh. None: as before, or in a first run the default.

    ``source``: the clone in which the script lies. ``renewed``: True if the environment was just built.
    """

    source: Path | None = None
    repo: str | None = None
    branch: str | None = None
    inventory: str | None = None
    host: str | None = None
    status_repo: str | None = None
    trust: TrustMode | None = None
    trusted_signers: Path | None = None
    min_commit: str | None = None
    known_hosts: Path | None = None
    code_file: Path | None = None
    proxy: str | None = None
    ca: Path | None = None
    plan: bool = False
    once: bool = False
    renewed: bool = False
    packages_before: Path | None = None
    """A file with the names of the packages that were there before bootstrap.sh installed some, one a line, then
    ``+name`` for each that it asked for."""


def _read_options(context: click.Context, parameter: click.Parameter, file: BinaryIO | None) -> None:
    """Take more options from a file with one ``--name=value`` a line and a last line ``--end``, which shows that it was
    not cut off. Raises UsageError, whose text never holds a value: that may be a password."""
    if file is None:
        return
    *lines, rest = os.fsdecode(file.read()).split("\n")
    if rest or lines[-1:] != ["--end"]:
        raise UsageError("--options ends without a line --end", hint="send all options again, and --end last")
    options = [option for option in context.command.params if isinstance(option, click.Option) and not option.is_flag]
    named = {option.opts[0]: option for option in options if option is not parameter}
    told = {}
    for number, line in enumerate(lines[:-1], start=1):
        name, _, value = line.partition("=")
        if name not in named:
            raise UsageError(f"line {number} of --options is no option of setup", hint="write --name=value")
        try:
            if not value or re.search(r"[\x00-\x1f\x7f]", value):
                raise click.BadParameter("")
            named[name].type_cast_value(context, value)
        except click.BadParameter:
            wrong = f"line {number} of --options: {name} has a wrong value"
            raise UsageError(wrong, hint="see bootstrap.sh --help") from None
        told[f"{named[name].name}"] = value
    context.default_map = told


_KINDS: Mapping[str, Any] = {"str | None": str, "Path | None": EXISTING_FILE, "TrustMode | None": TrustMode}
"""The type of an option, by the type of its field; an option of any other field is a flag."""


def _option(field: Field[Any]) -> click.Option:
    """The option of bootstrap.sh that sets a field of SetupOptions."""
    kind = EXISTING_FOLDER if field.name == "source" else _KINDS.get(f"{field.type}")
    return click.Option([f"--{field.name.replace('_', '-')}"], type=kind, is_flag=kind is None or None)


_MORE = click.Option(["--options"], type=click.File("rb"), is_eager=True, expose_value=False, callback=_read_options)


@click.command(cls=CliCommand, hidden=True, params=[_MORE, *map(_option, fields(SetupOptions))])
def setup(output: Output, **given: Any) -> int:
    """The second half of bootstrap.sh, which runs it: `bootstrap.sh --help` explains the options."""
    require_root()
    return set_up(SetupOptions(**given), output)


def set_up(options: SetupOptions, output: Output) -> int:
    """Make the host follow its repository, converge it, start the service. Return the exit code of the first cycle.

    With ``plan``, only show what the first cycle would do. Raises HostwrightError; then all is as it was before.
    """
    paths, talk = Paths(), output.say
    require_owned(paths)
    service = booted() and not options.plan and not options.once
    with interruptible("run bootstrap.sh again"), Undo() as kept:
        with Undo() as folder, ExitStack() as lock, Undo() as undo:
            folder.folder(paths.run, mode=0o755)
            lock.enter_context(locked(paths.lock, wait_s=LOCK_WAIT_S))
            settings, changed = follow(options, paths, undo, talk)
            if not options.plan:
                changed |= _install(options, paths, undo, service=service)
            kept.push(folder.pop_all())
            kept.push(undo.pop_all())
        talk(f"this is {settings.host} of inventories/{settings.inventory}, following {followed(settings)}")
        if options.plan:
            code = run_agent("plan", verbose=output.verbose)
            talk("none of this was done, only the agent is installed")
            talk("run bootstrap.sh again without --plan to converge, with --uninstall to take the agent away")
        else:
            talk("first cycle:" if changed else "already set up; one more cycle:")
            code = run_first_cycle(paths, kept, service=service, restart=changed or options.renewed)
        kept.keep()
    if not options.plan:
        for line in closing_words(settings, paths, code, service=service, once=options.once):
            talk(line)
    return code


def _install(options: SetupOptions, paths: Paths, undo: Undo, *, service: bool) -> bool:
    """Put links, units and the ledger's first entries in place. Return True if that changed anything."""
    installation.require_free_command(paths)
    undo.restored(paths.current)
    undo.restored(installation.command(paths))
    for name in installation.RESCUE_PROGRAMS:
        undo.restored(paths.rescue / name)
    changed = installation.write_rescue(paths) | installation.link(paths, __version__)
    begin_ledger(options.packages_before, paths, undo)
    if service:
        if paths.previous.is_symlink():
            Versions(paths).end_trial()  # the agent must not switch back from a version that a person installs
        undo.callback(installation.forget_units)
        for name in installation.UNITS:
            undo.restored(installation.units_folder(paths) / name)
        changed |= installation.write_units(paths)
    return changed


def follow(options: SetupOptions, paths: Paths, undo: Undo, talk: _Talk) -> tuple[Settings, bool]:
    """Try the settings and anchors, and write them. Return the settings, and True if anything changed. Raises
    HostwrightError, OSError; ``undo`` can take back what was written until then."""
    draft = _draft(options, paths)
    undo.folder(paths.etc)
    undo.folder(paths.var)
    if draft.remote == str(paths.origin):
        draft = _with_origin(draft, options, paths, undo, talk)
    changed = _write_anchors(draft, options, paths, undo)
    if options.code_file is not None:
        undo.file(paths.code, f"{anchors.read_code(options.code_file).text}\n".encode())
    try:
        settings, trusted = _tried(draft, paths, undo)
    except (InventoryError, SourceError, TrustError) as error:
        if not paths.settings.exists() or draft != read_settings(paths):
            raise
        # The host has followed this before: a newest commit that it refuses must not keep it from a new agent.
        talk(f"note: {error.message}")
        settings, trusted = draft, None
    if options.plan and trusted is not None:
        _aim_at(trusted, paths, undo)
    undo.created(paths.identity)
    Identity.ensure(paths.identity, settings.host)
    return settings, undo.file(paths.settings, render(settings)) or changed


def _draft(options: SetupOptions, paths: Paths) -> Settings:
    """The settings that are known without the repository; inventory and host may be missing."""
    before = read_settings(paths) if paths.settings.exists() else Settings(str(paths.origin), "", "")
    remote = options.repo or before.remote
    if remote != before.remote or not paths.settings.exists():
        trust = TrustMode.UNSIGNED if remote == str(paths.origin) else TrustMode.SIGNED
        before = Settings(remote, "", "", trust=trust, ca=before.ca, proxy=before.proxy)
    said = {name: getattr(options, name) for name in ("branch", "inventory", "host", "trust", "min_commit", "proxy")}
    said |= {"status_remote": options.status_repo, "ca": paths.etc / "ca.pem" if options.ca else None}
    draft = replace(before, **{name: value for name, value in said.items() if value})
    for key in ("remote", "branch", "inventory", "host", "min_commit", "status_remote", "proxy"):
        value = getattr(draft, key)
        if value and (wrong := complaint(key, value)):
            raise UsageError(wrong, hint="see bootstrap.sh --help")
    if draft.trust is TrustMode.SIGNED and options.trusted_signers is None and not paths.trusted_signers.exists():
        raise UsageError(
            f"{without_password(remote)} is trusted by its signatures, and nobody is known who may sign",
            hint="add --trusted-signers FILE, or say --trust unsigned",
        )
    return draft


def _with_origin(draft: Settings, options: SetupOptions, paths: Paths, undo: Undo, talk: _Talk) -> Settings:
    """Bring the host's own remote up to the clone. Return the draft with its branch."""
    if options.source is None:
        if not paths.origin.is_dir():
            raise UsageError("there is no clone to follow", hint="say which repository to follow: --repo URL")
        return draft
    known = draft.branch if paths.settings.exists() else None
    clone = origin.inspect(options.source, options.branch or known)
    undo.created(paths.origin)
    if origin.take_up(clone, paths.origin):
        talk(f"copied {clone.branch} ({clone.tip[:12]}) of {clone.folder} to {paths.origin}")
    if clone.uncommitted:
        talk(f"note: {clone.uncommitted} files of {clone.folder} are not committed; the host follows commits only")
    return replace(draft, branch=clone.branch)


def _write_anchors(draft: Settings, options: SetupOptions, paths: Paths, undo: Undo) -> bool:
    remotes = [Remote.parse(draft.remote), Remote.parse(draft.reports_to())]
    known = paths.known_hosts.read_bytes() if paths.known_hosts.is_file() else b""
    if options.known_hosts is not None:
        known = anchors.read_given(options.known_hosts, b" ", "host keys")
        anchors.host_keys(remotes, [options.known_hosts])
    else:
        wanted = anchors.host_keys(remotes, [paths.known_hosts, *anchors.known_to_the_person()])
        known += b"".join(line for line in wanted.splitlines(keepends=True) if line not in known)
    changed = bool(known) and undo.file(paths.known_hosts, known, mode=0o644)
    if options.trusted_signers is not None:
        signers = anchors.read_given(options.trusted_signers, b" ssh-", "allowed signers")
        changed |= undo.file(paths.trusted_signers, signers, mode=0o644)
    if options.ca is not None:
        authorities = anchors.read_given(options.ca, b"-----BEGIN CERTIFICATE-----", "certificates in PEM form")
        changed |= undo.file(paths.etc / "ca.pem", authorities, mode=0o644)
    return changed


def _tried(draft: Settings, paths: Paths, undo: Undo) -> tuple[Settings, TrustedCommit]:
    """Fetch, verify and read the remote. Return the complete settings, and the commit. Raises HostwrightError."""
    undo.created(paths.mirror)
    undo.created(incoming_of(paths.mirror))
    with closing(mirror_of_host(paths, draft)) as mirror:
        return _read_with(mirror, draft, paths)


def _read_with(mirror: Mirror, draft: Settings, paths: Paths) -> tuple[Settings, TrustedCommit]:
    record = Memory(paths).trust() if paths.settings.exists() else TrustRecord()
    commit = fetch(mirror, draft, record, partial(accepted, mirror, draft.inventory, Accept()))
    # This commit is not verified yet, so only names are read: the inventory determines whose keys may sign it.
    below = (entry.path.split("/") for entry in mirror.tree(commit.sha).entries(INVENTORIES))
    inventory = choose_inventory({parts[1] for parts in below if len(parts) > 2}, draft.inventory or None)
    accepts = partial(accepted, mirror, inventory, Accept())
    if inventory != draft.inventory and (record.last or draft.min_commit):
        commit = fetch(mirror, replace(draft, inventory=inventory), record, accepts)  # it may accept tags
    trusted = verify(
        commit,
        mirror=mirror,
        inventory=inventory,
        mode=draft.trust,
        record=record,
        accepts=accepts,
        min_commit=draft.min_commit,
        anchors=paths.trusted_signers,
        now=int(time.time()),
        branch=draft.branch,
    )
    hosts = load(mirror.tree(trusted.sha), inventory).inventory.hosts
    host = choose_host(hosts, draft.host or None, own_names(), f"inventories/{inventory}")
    return replace(draft, inventory=inventory, host=host), trusted


def _aim_at(trusted: TrustedCommit, paths: Paths, undo: Undo) -> None:
    """Remember ``trusted`` as the commit aimed at, which `hostwright plan` shows."""
    memory = Memory(paths)
    for name in ("trust", "state"):
        undo.created(paths.document(name))
    memory.keep_trust(TrustRecord().after(trusted, int(time.time())))
    memory.keep_state(replace(memory.state(), aimed_commit=trusted.sha))
