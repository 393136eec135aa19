"""Pins of archives and binaries: the file of each platform is downloaded once, hashed, and searched for commands."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from agent.domain.pins import Asset, ToolPin
from agent.errors import Consequence, HostwrightError, InventoryError, SourceError, TrustError, together
from agent.inventory.tools import ArchiveTool, WantedAsset
from agent.problems import ProblemKind
from agent.system.archive import ArchiveError, Member, Type, located, members
from agent.system.download import OnProgress, download, file_name

SIZE_LIMIT = 2 * 1024**3
"""Bytes of one download; the largest tool chains are half of that."""


def pin_archive(tool: ArchiveTool, work: Path, progress_of: Callable[[str], OnProgress]) -> ToolPin:
    """The pin of ``tool``: URL, sha256, size and paths of the commands for each platform.

    ``work``: a private folder to download to. ``progress_of``: returns, by the name of a download, the function that is
    told of its progress. Raises SourceError (``download-failed``, ``archive-refused``), InventoryError for a command
    that the archive does not hold, TrustError (``pin-mismatch``) if tools.yaml names another sha256; several at once as
    one.
    """
    assets: dict[str, Asset] = {}
    failures: list[HostwrightError] = []
    for platform, wanted in tool.assets.items():
        try:
            assets[platform] = _asset(tool, wanted, work / tool.name, progress_of(f"{tool.name} {platform}"))
        except HostwrightError as error:
            failures.append(error)
    if failures:
        raise together(failures)
    # The archives of all platforms mostly have the same layout: the pin then holds the paths of the commands once.
    common = next(iter(assets.values())).bin
    for platform, asset in assets.items():
        if asset.bin == common:
            assets[platform] = Asset(asset.url, asset.sha256, asset.size)
    return ToolPin(tool.name, tool.version, common, assets)


def _asset(tool: ArchiveTool, wanted: WantedAsset, target: Path, progress: OnProgress) -> Asset:
    try:
        found = download(wanted.url, target, limit=SIZE_LIMIT, progress=progress)
        if wanted.sha256 is not None and wanted.sha256 != found.sha256:
            raise TrustError(
                f"{wanted.url} has the sha256 {found.sha256}, tools.yaml says {wanted.sha256}",
                kind=ProblemKind.PIN_MISMATCH,
                hint="find out which of them is right; nothing was written",
            )
        held = members(target, file_name(wanted.url))
    except ArchiveError as error:
        why = f"{wanted.url}: {error.message}"
        raise SourceError(why, kind=error.kind, hint=error.hint, consequence=Consequence.STALL) from error
    finally:
        target.unlink(missing_ok=True)
    places = _places(tool, wanted, held)
    for place in places.values():
        _require_content(tool, wanted, place, held)
    return Asset(wanted.url, found.sha256, found.size, places)


def _require_content(tool: ArchiveTool, wanted: WantedAsset, place: str, held: tuple[Member, ...]) -> None:
    found = located(place, held)
    meant = next((member.stand_in for member in held if member.path == found), None)
    if meant is not None:
        raise SourceError(
            f"{tool.name}: {place} in {wanted.url} {meant.what}",
            kind=ProblemKind.ARCHIVE_REFUSED,
            hint="give the address of a release that holds the program itself",
            consequence=Consequence.STALL,
        )


def _places(tool: ArchiveTool, wanted: WantedAsset, held: tuple[Member, ...]) -> Mapping[str, str]:
    """The path in the archive of each command. A path that the agent finds itself leaves out the archive's only top
    folder. Raises InventoryError for a command that is not there."""
    files = [member.path for member in held if member.type is not Type.DIRECTORY]
    places: dict[str, str] = {}
    for command, path in wanted.bin.items():
        named = [file for file in files if PurePosixPath(file).name == command and file.isprintable()]
        if located(path, held) is not None:
            places[command] = path
        elif command in tool.found and len(named) == 1:
            places[command] = _without_top(named[0], files)
        else:
            near = named or difflib.get_close_matches(path, files, n=3, cutoff=0.4) or files[:3]
            raise InventoryError(
                f"{tool.position}: {tool.name}: {wanted.url} holds no {path}",
                hint=f"write `bin: {{{command}: <path in it>}}`; it holds {', '.join(near)}",
            )
    return places


def _without_top(path: str, files: list[str]) -> str:
    top = path.partition("/")[0] + "/"
    return path.removeprefix(top) if all(file.startswith(top) for file in files) else path
