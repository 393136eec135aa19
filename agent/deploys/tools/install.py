"""A pin turned into a version folder: fetched, checked and built aside, and put in its place only when it is whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.deploys.tools import python
from agent.deploys.tools.store import Mark, ToolStore, damage, seal
from agent.domain.digest import digest_of
from agent.domain.pins import Asset, ToolPin
from agent.domain.stand_in import LOOKED_AT, fetched_stand_in
from agent.domain.text import some
from agent.errors import Consequence, DeployError
from agent.system import archive, download
from agent.system.files import discard, fsync_folder

_STALE_S = 7 * 24 * 3600
"""Seconds. After a week nobody comes back for the rest of a download."""

_NAMED_FILES = 8


def platform() -> str:
    """The name of this machine's platform in pins."""
    return f"linux-{os.uname().machine.lower()}"


def asset_for(pin: ToolPin, machine: str) -> Asset | None:
    """The download for the platform ``machine``; None for a Python tool. Raises DeployError if the pin has none."""
    if pin.requirements:
        return None
    if machine not in pin.assets:
        raise DeployError(
            f"{pin.name} {pin.version} is not pinned for {machine}, only for {', '.join(sorted(pin.assets)) or 'none'}",
            hint="add the platform in tools.yaml and run `hostwright lock` in the config repo, or leave the tool out",
            consequence=Consequence.STALL,
        )
    return pin.assets[machine]


def bin_of(pin: ToolPin, asset: Asset | None) -> Mapping[str, str]:
    """The place of each command on this platform, in the download or the environment."""
    return asset.bin if asset and asset.bin else pin.bin


def content_of(pin: ToolPin, asset: Asset | None) -> str:
    """The digest of what the pin installs on this platform. Of the download's address only the file name counts."""
    name = download.file_name(asset.url) if asset else ""
    return digest_of(
        [pin.version, sorted(bin_of(pin, asset).items()), [asset.sha256, name] if asset else list(pin.requirements)]
    )


def flaw(store: ToolStore, pin: ToolPin, asset: Asset | None, mark: Mark | None) -> str:
    """The reason to install this version (again), in a few words; empty if it is as pinned. ``mark``: the version's
    mark; None if it has none."""
    folder = store.version(pin.name, pin.version)
    if mark is None:
        return "it is not whole" if os.path.lexists(folder) else "it is not there"
    if mark.content != content_of(pin, asset):
        return "its pin has changed"
    if mark.interpreter and mark.interpreter != python.interpreter():
        return f"{mark.interpreter} is no longer this host's Python"
    return damage(folder, mark)


def install(store: ToolStore, pin: ToolPin, asset: Asset | None) -> Mark:
    """Put the version in its place, also in place of one that is not as pinned. Returns its mark. Links are not
    touched.

    Raises SourceError, ArchiveError, DeployError for a download that cannot be had or is not as pinned, OSError. Then
    the version that was there before still is, unless the disk failed between its removal and the last renaming.
    """
    store.prepare()
    _collect(store)
    with _staged(store) as folder:
        interpreter = ""
        if asset is not None:
            found = _unpack(store, asset, folder)
            named = {command: (path, archive.located(path, found)) for command, path in bin_of(pin, asset).items()}
            there = [member.path for member in found if member.executable] or [member.path for member in found]
        else:
            interpreter = python.build(folder, pin.requirements)
            there = sorted(path.name for path in (folder / "bin").iterdir())
            named = {command: (name, f"bin/{name}" if name in there else None) for command, name in pin.bin.items()}
        commands = {command: _made_executable(pin, folder, *names, there) for command, names in named.items()}
        mark = seal(folder, content_of(pin, asset), commands, interpreter)
        _settle(store, folder, store.version(pin.name, pin.version))
    if asset is not None:
        discard(store.downloads / asset.sha256)
    return mark


def _unpack(store: ToolStore, asset: Asset, folder: Path) -> tuple[archive.Member, ...]:
    fetched = store.downloads / asset.sha256
    download.download_pinned(asset, fetched)
    return archive.unpack(fetched, download.file_name(asset.url), folder)


def _made_executable(pin: ToolPin, folder: Path, wanted: str, path: str | None, there: Sequence[str]) -> str:
    """``path``, after making the program there executable: zip archives made elsewhere know no modes. Raises
    DeployError if it is no file in the ``folder``, or only stands in for one; the error names ``wanted``, and what is
    ``there``."""
    target = Path(os.path.realpath(folder / path)) if path else folder
    if path is None or not target.is_file() or not target.is_relative_to(os.path.realpath(folder)):
        raise DeployError(
            f"{pin.name} {pin.version} has no program {wanted}; it has {some(there, _NAMED_FILES) or 'nothing'}",
            hint="correct `bin` in tools.yaml and run `hostwright lock` in the config repo",
            consequence=Consequence.STALL,
        )
    with target.open("rb") as program:
        meant = fetched_stand_in(program.read(LOOKED_AT))
    if meant is not None:
        raise DeployError(
            f"{pin.name} {pin.version}: {path} {meant.what}",
            hint="name a release that holds the program itself, then `hostwright lock` in the config repo",
            consequence=Consequence.STALL,
        )
    target.chmod(0o755)
    return path


@contextmanager
def _staged(store: ToolStore) -> Iterator[Path]:
    """A new folder, below one that only root can enter. It is removed at the end, unless it was moved to its place."""
    for left in store.staging.iterdir():  # of an installation that was killed
        discard(left)
    folder = Path(tempfile.mkdtemp(dir=store.staging))
    try:
        yield folder
    finally:
        for left in store.staging.iterdir():
            discard(left)


def _settle(store: ToolStore, folder: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o755, exist_ok=True)
    place.parent.chmod(0o755)
    if os.path.lexists(place):
        # The old one goes first, off PATH: a version that is not as pinned must not run any longer.
        place.rename(store.staging / f"{folder.name}.old")
    folder.rename(place)
    fsync_folder(place.parent)
    fsync_folder(store.tools)


def _collect(store: ToolStore) -> None:
    """Remove downloads that nobody came back for."""
    for left in store.downloads.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.lstat().st_mtime > _STALE_S:
                discard(left)
