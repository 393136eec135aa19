"""Who can read and write what the agent rests on."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from agent.cli.doctor.answer import Answer, Verdict
from agent.errors import SettingsError
from agent.host import installation
from agent.host.identity import PRIVATE_NAME
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.system.files import others_hand, require_owned_throughout
from agent.system.git_command import git as run_git
from agent.system.misplaced import misplaced_file

QUERY_TIMEOUT_S = 20.0
TOLD = 5
"""Files of one folder; who has more has another problem."""

_OF_A_MIRROR = frozenset(
    {"core.repositoryformatversion", "core.filemode", "core.bare", "core.logallrefupdates", "core.sharedrepository"}
)
"""What git init writes."""


def permissions(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """Everything that is wrong, not only the first of it."""
    keys, shown = _keys(paths), (paths.trusted_signers, paths.known_hosts, settings.ca)
    wrong = [*_owned(paths, besides={*keys, *shown}), *_private(paths, keys), *_read_by_all(shown)]
    yield from wrong
    if not wrong:
        yield Verdict.OK, "settings, state, keys and programs belong to root alone", ""


def require_owned(paths: Paths) -> None:
    """Raises SettingsError with the first thing that others than root could change; what bootstrap.sh checks before
    there is a Python."""
    former = set(paths.versions.glob("*/.lock"))  # uv's lock of a former version, which all may write to
    for _, message, hint in _owned(paths, besides=former):
        raise SettingsError(message, hint=hint)


def _owned(paths: Paths, besides: Collection[Path | None]) -> Iterator[Answer]:
    """The folders up to the root, and everything below them: whoever could change a file there would be root."""
    for path in filter(os.path.lexists, (paths.etc, paths.var, paths.opt, paths.run)):
        try:
            require_owned_throughout(path)
        except SettingsError as error:
            yield Verdict.FAILED, error.message, error.hint
            continue
        foreign = [_foreign(entry) for entry in _below(path) if entry not in besides]
        told = [answer for answer in foreign if answer is not None]
        yield from told[:TOLD]
        if len(told) > TOLD:
            yield Verdict.FAILED, f"and {len(told) - TOLD} more below {path}", ""
    yield from filter(None, (_foreign(path) for path in _elsewhere(paths)))


def _below(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))


def _elsewhere(paths: Paths) -> Iterator[Path]:
    """The command, the units and what is dropped into them, where they are there."""
    if os.path.lexists(installation.command(paths)):
        yield installation.command(paths)
    folder = installation.units_folder(paths)
    for name in installation.UNITS:
        for path in (folder / name, folder / f"{name}.d", *(folder / f"{name}.d").glob("*")):
            if os.path.lexists(path):
                yield path


def _foreign(path: Path) -> Answer | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None  # a cycle is at work
    hand = others_hand(status)
    return (Verdict.FAILED, f"{path} {hand}", f"who did that? chown root: and chmod go-w {path}") if hand else None


def _keys(paths: Paths) -> list[Path]:
    keys = [paths.settings, paths.deploy_key, paths.status_key, paths.identity / PRIVATE_NAME]
    webhook = Memory(paths).state().fleet.webhook
    return keys if webhook is None else [*keys, Path(webhook.secret_file)]


def _private(paths: Paths, keys: Iterable[Path]) -> Iterator[Answer]:
    """What nobody else may even read."""
    for path in keys:
        if os.path.lexists(path):
            yield from _file(path, 0o077, "be read or written")
    for path in (paths.var, paths.identity, paths.rescue):
        if path.is_dir() and stat.S_IMODE(path.lstat().st_mode) & 0o055:
            yield Verdict.FAILED, f"{path} can be entered by others", f"chmod go= {path}"


def _read_by_all(shown: Iterable[Path | None]) -> Iterator[Answer]:
    """What others may read, and not write."""
    for path in shown:
        if path is not None and os.path.lexists(path):
            yield from _file(path, 0o022, "be written")


def _file(path: Path, others: int, what: str) -> Iterator[Answer]:
    if wrong := misplaced_file(path):
        yield Verdict.FAILED, f"{path} is {wrong}", "put the file itself there, and let it belong to root"
    elif (mode := stat.S_IMODE(path.lstat().st_mode)) & others:
        hint = f"chmod {mode & ~others:o} {path}; make a new one if somebody may have used that"
        yield Verdict.FAILED, f"{path} can {what} by others (mode {mode:04o})", hint


def control_socket(paths: Paths, settings: Settings) -> Iterator[Answer]:
    del settings
    try:
        status = paths.control.lstat()
    except FileNotFoundError:
        yield Verdict.OK, "there is none while no daemon runs", ""
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        hint = "systemctl restart hostwright"
        yield Verdict.FAILED, f"{paths.control} is not a socket of root's alone (mode {status.st_mode:o})", hint
        return
    yield Verdict.OK, "only root can ask the daemon", ""


def git(paths: Paths, settings: Settings) -> Iterator[Answer]:
    """What the mirror's own configuration says counts, unlike root's and the system's: it could redirect, or run."""
    del settings
    config = paths.mirror / "config"
    if not config.exists():
        yield Verdict.OK, "nothing has been fetched yet", ""
        return
    asked = ("config", "--file", f"{config}", "--no-includes", "--list", "--name-only")
    done = run_git(*asked, timeout_s=QUERY_TIMEOUT_S)
    foreign = sorted(set(done.output.decode(errors="replace").split()) - _OF_A_MIRROR)
    hooks = sorted(hook.name for hook in (paths.mirror / "hooks").glob("*"))
    if not done.ok:
        yield Verdict.FAILED, f"{config} cannot be read: {done.complaint}", f"rm -r {paths.mirror}: it is cloned anew"
    elif foreign:
        yield Verdict.FAILED, f"{config} says {', '.join(foreign)}", f"rm -r {paths.mirror}: it is cloned anew"
    elif hooks:
        yield Verdict.WARNING, f"{paths.mirror}/hooks holds {', '.join(hooks)}; they are not run", "who put them there?"
    else:
        yield Verdict.OK, "no configuration but the agent's own counts", ""
