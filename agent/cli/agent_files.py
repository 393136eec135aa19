"""The agent's own files, taken from a clone or an installed wheel, for bootstrap.sh on another machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Final

import agent
from agent.errors import SettingsError

BESIDE: Final = ("bootstrap.sh", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
"""Files beside the package that its build needs; a wheel carries them in its metadata."""


def bootstrap_script() -> bytes:
    """The content of this installation's bootstrap.sh. Raises SettingsError if it is missing."""
    return _beside(Path(agent.__file__).parent, "bootstrap.sh").read_bytes()


def write_bundle(file: IO[bytes], given: Mapping[str, bytes], wheelhouse: Path | None, *, level: int = 1) -> None:
    """Write a tar archive of the agent's files, of the ``given`` contents by name, and of the files in ``wheelhouse``.
    ``level``: of compression, from 1 to 9. Raises SettingsError if a file is missing from this installation."""
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=level) as bundle:
        for name, path in _files():
            bundle.add(path, name, recursive=False, filter=_plain)
        for path in sorted(wheelhouse.iterdir()) if wheelhouse is not None else ():
            bundle.add(path, f"wheels/{path.name}", recursive=False, filter=_plain)
        for name, content in given.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """``entry`` as a file of root; None for anything but a file."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry if entry.isfile() else None


def _files() -> Iterator[tuple[str, Path]]:
    package = Path(agent.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"agent/{path.relative_to(package)}", path
    for name in BESIDE:
        yield name, _beside(package, name)


def _beside(package: Path, name: str) -> Path:
    if (package.parent / "pyproject.toml").is_file():
        return package.parent / name
    try:
        files = distribution("hostwright").files or []
        return Path(f"{next(path.locate() for path in files if path.match(f'*.dist-info/extra_metadata/{name}'))}")
    except (PackageNotFoundError, StopIteration) as error:
        raise SettingsError(
            f"{name} is missing from this installation", hint="install it from a wheel or run it from a clone"
        ) from error
