"""A pin turned into a version folder: fetched, checked and built aside, and put in its place only when it is whole.

A Python tool gets an environment of its own, on this host's Python, from hash-locked requirements. The uv beside the
agent builds it, so the host needs no pip and no python3-venv. The environment is relocatable, as it is built aside.
Only wheels are taken: building anything else runs code that no hash vouches for.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.deploys.tools.store import Mark, ToolStore, damage, seal
from agent.domain.digest import digest_of
from agent.domain.pins import Asset, ToolPin
from agent.domain.stand_in import LOOKED_AT, fetched_stand_in
from agent.domain.text import some
from agent.errors import Consequence, DeployError, SourceError
from agent.problems import ProblemKind
from agent.system import archive, download
from agent.system.files import discard, fsync_folder
from agent.system.process import Completed, run

_PATH = "/usr/bin:/bin:/usr/local/bin"
PYTHONS = tuple(f"{folder}/python3" for folder in _PATH.split(":"))
"""The paths at which a host's own Python may be, the distribution's first."""

_MAKE_TIMEOUT_S = 60.0
_INSTALL_TIMEOUT_S = 900.0
_HTTP_TIMEOUT_S = "60"

_LINE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]\s]*\])?\s*==\s*[^\s;]+(\s*;.*?)?([\s\\]+--hash=sha256:[0-9a-f]{64})+", re.DOTALL
)
"""``name==1.0 ; marker --hash=sha256:…``: pinned, hashed, and no option or URL in its place."""

_UV_CONFIG = Path("/etc/uv/uv.toml")
_PIP_CONFIG = Path("/etc/pip.conf")

_KEPT_LINES = 12
_PASSED_ON = re.compile(
    r"(?i)(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|SSL_CLIENT_CERT"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST)"
)
"""Variables that say how this machine reaches an index."""


def host_python() -> str:
    """The path of the host's Python, all links followed (``/usr/bin/python3.11``); empty if there is none."""
    found = shutil.which("python3", path=_PATH)
    return os.path.realpath(found) if found else ""


def build_environment(folder: Path, requirements: Iterable[str]) -> str:
    """Build an environment with exactly ``requirements`` in the empty ``folder``. Returns the path of its interpreter.

    Raises DeployError if this host cannot have one, SourceError if a wheel cannot be had or is another than was pinned,
    OSError.
    """
    lines = list(requirements)
    for line in lines:
        if not _LINE.fullmatch(line.strip()):
            raise DeployError(
                f"{line.split(' --hash')[0]!r} is not a requirement with version and hashes",
                hint="run `hostwright lock` in the config repo",
                consequence=Consequence.STALL,
            )
    found = shutil.which("python3", path=_PATH)
    if found is None:
        raise DeployError("this host has no python3", hint="install it with a packages deploy before this one")
    uv = partial(_uv, temporary=folder.parent)
    made = uv("venv", "--python", found, "--relocatable", "--allow-existing", f"{folder}", timeout_s=_MAKE_TIMEOUT_S)
    if not made.ok:
        raise DeployError(f"no Python environment: {_told(made)}", hint=f"does {found} work?")
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{line}\n" for line in lines))
    strict = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
    into = ("--python", f"{folder}/bin/python", "--compile-bytecode")
    done = uv("pip", "install", *strict, *into, "--requirements", f"{wanted}", timeout_s=_INSTALL_TIMEOUT_S)
    if not done.ok:
        raise SourceError(
            _told(done),
            kind=ProblemKind.DOWNLOAD_FAILED,
            hint="only wheels with a pinned hash are taken; can this host reach its index (UV_DEFAULT_INDEX)?",
        )
    return os.path.realpath(found)


def _uv(*arguments: str, temporary: Path, timeout_s: float) -> Completed:
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        raise DeployError(
            f"there is no {program}",
            hint="the agent's environment is damaged: run bootstrap.sh again",
            kind=ProblemKind.ENGINE,
        )
    own = {
        "PATH": _PATH,
        "HOME": f"{temporary}",  # root's own configuration is not the host's
        "LC_ALL": "C.UTF-8",
        "TMPDIR": f"{temporary}",
        "UV_NO_CACHE": "1",  # the store of tools is the cache
        "UV_NO_PROGRESS": "1",
        "UV_SYSTEM_CERTS": "1",  # these certificates include the company's authority
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": _HTTP_TIMEOUT_S,
    }
    argv = [f"{program}", *arguments]
    return run(argv, timeout_s=timeout_s, env={**_ways(os.environ), **own}, cwd=Path("/"))


def _ways(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv the way to the package index, from the environment ``given`` or pip's configuration.
    /etc/uv/uv.toml, which uv reads itself, counts more than /etc/pip.conf."""
    ways = {name: value for name, value in given.items() if _PASSED_ON.fullmatch(name)}
    if "UV_DEFAULT_INDEX" not in ways and "UV_INDEX_URL" not in ways:
        pip = ConfigParser(interpolation=None)
        with contextlib.suppress(ConfigParserError, UnicodeDecodeError, OSError):
            if not _UV_CONFIG.exists():
                pip.read(_PIP_CONFIG)
        index = given.get("PIP_INDEX_URL") or pip.get("global", "index-url", fallback="")
        if index:
            ways["UV_DEFAULT_INDEX"] = index
    return ways


def _told(done: Completed) -> str:
    """The end of uv's own words, several lines: a complaint about a wrong hash takes as many."""
    if done.timed_out:
        return "not done in time"
    lines = [line.strip() for line in done.error.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_KEPT_LINES:]) or done.complaint


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
    if mark.interpreter and mark.interpreter != host_python():
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
            interpreter = build_environment(folder, pin.requirements)
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
