"""The checks of files and folders that only root may read or write."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from agent.cli.doctor.finding import QUERY_TIMEOUT_S, Finding, Installation, failed, ok, warning
from agent.errors import SettingsError
from agent.host import installation
from agent.host.identity import PRIVATE_NAME
from agent.host.paths import Paths
from agent.system.files import others_hand, require_owned_throughout
from agent.system.git_command import git as run_git
from agent.system.misplaced import misplaced_file

TOLD = 5
"""Files of one folder that are named; the others are counted."""

_OF_A_MIRROR = frozenset(
    {"core.repositoryformatversion", "core.filemode", "core.bare", "core.logallrefupdates", "core.sharedrepository"}
)
"""The keys that git init writes."""


def permissions(installed: Installation) -> Iterator[Finding]:
    """Findings for everything that others than root could change, or for keys, read."""
    paths = installed.paths
    keys, shown = _keys(installed), (paths.trusted_signers, paths.known_hosts, installed.settings.ca)
    yield from _owned(paths, besides={*keys, *shown})
    yield from _private(paths, keys)
    for path in shown:  # others may read these files, but not write them
        if path is not None and os.path.lexists(path):
            yield from _file(path, 0o022, "be written")


def require_owned(paths: Paths) -> None:
    """Raise SettingsError for the first thing that others than root could change. bootstrap.sh checks the same, before
    it has a Python."""
    former = set(paths.versions.glob("*/.lock"))  # uv's lock of a former version, which all may write to
    for found in _owned(paths, besides=former):
        raise SettingsError(found.message, hint=found.hint)


def _owned(paths: Paths, besides: Collection[Path | None]) -> Iterator[Finding]:
    """Findings for the agent's folders, their parents and all that they hold: whoever can change a file there can
    become root."""
    for path in filter(os.path.lexists, (paths.etc, paths.var, paths.opt, paths.run)):
        try:
            require_owned_throughout(path)
        except SettingsError as error:
            yield failed(error.message, error.hint)
            continue
        told = list(filter(None, (_foreign(entry) for entry in _below(path) if entry not in besides)))
        yield from told[:TOLD]
        if len(told) > TOLD:
            yield failed(f"and {len(told) - TOLD} more below {path}")
    yield from filter(None, (_foreign(path) for path in _elsewhere(paths)))


def _below(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))


def _elsewhere(paths: Paths) -> Iterator[Path]:
    """The paths of the command, the units and their drop-ins, as far as they exist."""
    if os.path.lexists(installation.command(paths)):
        yield installation.command(paths)
    folder = installation.units_folder(paths)
    for name in installation.UNITS:
        for path in (folder / name, folder / f"{name}.d", *(folder / f"{name}.d").glob("*")):
            if os.path.lexists(path):
                yield path


def _foreign(path: Path) -> Finding | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None  # a cycle is at work
    hand = others_hand(status)
    return failed(f"{path} {hand}", f"who did that? chown root: and chmod go-w {path}") if hand else None


def _keys(installed: Installation) -> list[Path]:
    paths = installed.paths
    keys = [paths.settings, paths.deploy_key, paths.status_key, paths.identity / PRIVATE_NAME]
    webhook = installed.memory.state().fleet.webhook
    return keys if webhook is None else [*keys, Path(webhook.secret_file)]


def _private(paths: Paths, keys: Iterable[Path]) -> Iterator[Finding]:
    """Findings for files and folders that nobody but root may even read."""
    for path in keys:
        if os.path.lexists(path):
            yield from _file(path, 0o077, "be read or written")
    for path in (paths.var, paths.identity, paths.rescue):
        if path.is_dir() and stat.S_IMODE(path.lstat().st_mode) & 0o055:
            yield failed(f"{path} can be entered by others", f"chmod go= {path}")


def _file(path: Path, others: int, what: str) -> Iterator[Finding]:
    if wrong := misplaced_file(path):
        yield failed(f"{path} is {wrong}", "put the file itself there, and let it belong to root")
    elif (mode := stat.S_IMODE(path.lstat().st_mode)) & others:
        hint = f"chmod {mode & ~others:o} {path}; make a new one if somebody may have used that"
        yield failed(f"{path} can {what} by others (mode {mode:04o})", hint)


def control_socket(installed: Installation) -> Iterator[Finding]:
    control = installed.paths.control
    try:
        status = control.lstat()
    except FileNotFoundError:
        yield ok("there is none while no daemon runs")
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        hint = "systemctl restart hostwright"
        yield failed(f"{control} is not a socket of root's alone (mode {status.st_mode:o})", hint)


def git(installed: Installation) -> Iterator[Finding]:
    """Findings for the mirror's own configuration. git reads no other, and this one could redirect it or have it start
    programs."""
    mirror = installed.paths.mirror
    config, anew = mirror / "config", f"rm -r {mirror}: it is cloned anew"
    if not config.exists():
        yield ok("nothing has been fetched yet")
        return
    asked = ("config", "--file", f"{config}", "--no-includes", "--list", "--name-only")
    done = run_git(*asked, timeout_s=QUERY_TIMEOUT_S)
    foreign = sorted(set(done.output.decode(errors="replace").split()) - _OF_A_MIRROR)
    hooks = sorted(hook.name for hook in (mirror / "hooks").glob("*"))
    if not done.ok:
        yield failed(f"{config} cannot be read: {done.complaint}", anew)
    elif foreign:
        yield failed(f"{config} says {', '.join(foreign)}", anew)
    elif hooks:
        yield warning(f"{mirror}/hooks holds {', '.join(hooks)}; they are not run", "who put them there?")
