"""lock: the tools and repositories that tools.yaml and site.yaml ask for, pinned in lock.yaml to exact bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain.layout import INVENTORIES
from agent.domain.pins import left_out
from agent.domain.text import escaped, some
from agent.errors import Exit, HostwrightError, InventoryError, SettingsError, UsageError, together
from agent.host.repositories import Repositories
from agent.inventory.complaint import Complaints, ComplaintsError
from agent.inventory.load import load
from agent.inventory.lock import AGENT, LOCK_FILE, Lock, lock_text, read_lock
from agent.inventory.source import open_source
from agent.problems import ProblemKind
from agent.remotes import repositories_of_administrator
from agent.system.files import write_atomic
from agent.system.folder import FolderTree


@click.command(cls=CliCommand)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Write nothing; exit 10 where lock.yaml is behind.")
def lock(output: Output, repo: ConfigRepo, names: tuple[str, ...], check: bool) -> Reply:
    """Pin what tools.yaml and site.yaml ask for in lock.yaml; with names only these, anew."""
    if check:
        if names:
            raise UsageError("--check looks at everything", hint="leave the names out")
        return _check(output, repo)
    root, chosen = repo.root, [repo.one_inventory()] if names else repo.inventories()
    written: dict[str, list[str]] = {}
    failures: list[HostwrightError] = []
    repositories = repositories_of_administrator(fetch=True)
    for name in chosen:
        try:
            written[name], failed = _write(output, root, name, names, repositories)
        except InventoryError as error:
            failures.append(error)
            continue
        except OSError as error:
            what = f"{error.filename or root}: {error.strerror or error}"
            raise SettingsError(
                what, kind=ProblemKind.HOST_IO, hint=f"{LOCK_FILE} and the cache must be writable"
            ) from error
        failures += failed
        for line in written[name]:
            output.show(f"{escaped(name)}: {escaped(line)}")
        if not written[name] and not failed:
            output.show(f"{escaped(name)}: nothing has changed")
    if failures:
        raise together(failures)
    return Reply(written)


def _check(output: Output, repo: ConfigRepo) -> Reply:
    root, names = repo.root, repo.inventories()
    found: dict[str, list[str]] = {}
    failures: list[HostwrightError] = []
    for name in names:
        try:
            found[name] = list(load(FolderTree(root), name).stale())
        except InventoryError as error:
            failures.append(error)
            continue
        for line in found[name]:
            output.show(f"{INVENTORIES}/{escaped(name)}/{LOCK_FILE}: {escaped(line)}")
    output.say("compared with tools.yaml, site.yaml, secrets/; nothing was downloaded, so moved branches are not seen")
    if failures:
        raise together(failures)
    return Reply(found, Exit.CHANGES if any(found.values()) else Exit.FINE)


def _write(
    output: Output, root: Path, name: str, names: tuple[str, ...], repositories: Repositories
) -> tuple[list[str], list[HostwrightError]]:
    """Write the lock of the inventory ``name``. Return a line for each pin that changed, and the failures."""
    from agent.pinning.renew import Renewal  # not loaded for --check, which downloads nothing

    tree = FolderTree(root)
    environment = load(tree, name, repositories.tree, locked=False)
    old = _old(output, tree, name, keep=bool(names))
    with tempfile.TemporaryDirectory(prefix="hostwright-lock-") as work, output.downloads() as progress_of:
        renewal = Renewal(
            environment.tools,
            environment.addresses(),
            repositories=repositories,
            work=Path(work),
            progress_of=progress_of,
            agent=environment.agent(),
        )
        new = renewal.only(old, names) if names else renewal.everything(old)
    if missing := left_out(new.repositories.values()):
        output.say(f"{escaped(name)}: left out by hosts: {some(missing)}")
    new = replace(new, secrets=old.secrets)
    path = root / INVENTORIES / name / LOCK_FILE
    text = lock_text(new).encode()
    nothing = new == Lock() and not path.exists()
    if not nothing and not (path.is_file() and path.read_bytes() == text):
        write_atomic(path, text, mode=0o644)
    return list(_changes(old, new)), renewal.failures


def _old(output: Output, tree: FolderTree, name: str, *, keep: bool) -> Lock:
    """The present lock; an empty one if it cannot be read, unless ``keep``. Raises ComplaintsError."""
    complaints = Complaints()
    old = read_lock(open_source(tree, name), complaints)
    try:
        complaints.raise_if_any()
    except ComplaintsError as error:
        if keep:
            raise
        for line in (*error.lines, f"{LOCK_FILE} is written anew"):
            output.say(line)
    return old


def _changes(old: Lock, new: Lock) -> Iterator[str]:
    """A line for each pin that is new, gone or different."""
    before, after = _pins(old), _pins(new)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, ("", None)), after.get(name, ("", None))
        if not now[0]:
            yield f"{name} {was[0]} is not asked for any more"
        elif not was[0]:
            yield f"{name} {now[0]}"
        elif was[0] != now[0]:
            yield f"{name} {was[0]} → {now[0]}"
        elif was != now:
            yield f"{name} {now[0]} pinned anew"


def _pins(lock: Lock) -> dict[str, tuple[str, object]]:
    """Each pin by name, with its version as people read it."""
    return {
        **({AGENT: (lock.agent.version, lock.agent)} if lock.agent is not None else {}),
        **{name: (tool.version, tool) for name, tool in lock.tools.items()},
        **{name: (repository.commit[:12], repository) for name, repository in lock.repositories.items()},
    }
