"""One tool compared with its pin, and made as pinned: the version's folder first, the links last."""

from __future__ import annotations

from agent.deploys.tools.install import asset_for, bin_of, flaw, install
from agent.deploys.tools.links import put_right, refuse_blocked, wrong
from agent.deploys.tools.store import Active, Store, read_active, read_mark, write_active
from agent.domain.pins import Asset, ToolPin


def wanted_change(store: Store, pin: ToolPin, machine: str) -> str | None:
    """What has to happen to have the tool as pinned, in a few words; None where it is. Changes nothing.

    Raises DeployError for a platform without a pin, UnsafePath and OSError where nobody may look.
    """
    asset = asset_for(pin, machine)
    mark = read_mark(store.version(pin.name, pin.version))
    reason = flaw(store, pin, asset, mark)
    commands = mark.commands if mark and not reason else dict.fromkeys(bin_of(pin, asset))
    links = wrong(store, pin.name, pin.version, commands)
    words = [_installing(store, pin, asset, reason)] if reason else []
    words += [link.operation for link in links]
    return ", ".join(words) or None


def make_so(store: Store, pin: ToolPin, machine: str) -> None:
    """Does what ``wanted_change`` says, looking once more. What was in force stays so until all else is in place.

    Raises DeployError, SourceError, ArchiveError for what cannot be had, is not as pinned, or is in the way; OSError.
    """
    asset = asset_for(pin, machine)
    refuse_blocked(wrong(store, pin.name, pin.version, dict.fromkeys(bin_of(pin, asset))))
    place = store.version(pin.name, pin.version)
    mark = read_mark(place)
    if flaw(store, pin, asset, mark):
        install(store, pin, asset)
        mark = read_mark(place)
    assert mark is not None
    before = read_active(store, pin.name)
    put_right(store, wrong(store, pin.name, pin.version, mark.commands))
    write_active(store, pin.name, Active(pin.version, sorted(mark.commands)))
    if before is not None and before.version != pin.version:
        _prune(store, pin.name, keep={pin.version, before.version})


def _installing(store: Store, pin: ToolPin, asset: Asset | None, reason: str) -> str:
    if not store.version(pin.name, pin.version).exists():
        return f"install {pin.version}" + (f" ({_size(asset.size)} to download)" if asset else "")
    return f"install {pin.version} again: {reason}"


def _prune(store: Store, name: str, keep: set[str]) -> None:
    """The version before stays: going back to it needs no download."""
    for version in store.versions(name):
        if version not in keep:
            store.take_away(store.version(name, version))


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
