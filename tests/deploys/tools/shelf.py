"""Downloads made for a test, and pins of them: tools that say their version when they are run."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from agent.domain.pins import Asset, ToolPin

MACHINE = "linux-x86_64"


def tarball(files: Mapping[str, str]) -> bytes:
    """A .tar.gz; what begins with ``#!`` is executable."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755 if text.startswith("#!") else 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return written.getvalue()


def says(text: str) -> str:
    return f"#!/bin/sh\necho {text}\n"


def asset(url: str, content: bytes) -> Asset:
    return Asset(url, hashlib.sha256(content).hexdigest(), len(content))


def put(folder: Path, name: str, content: bytes) -> Asset:
    """A download on the disk."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return asset(f"file://{folder}/{name}", content)


def go(version: str, folder: Path, *commands: str) -> ToolPin:
    """A tool with ``commands`` below one common folder, and a library."""
    files = {f"go-{version}/bin/{command}": says(f"{command} {version}") for command in commands}
    content = tarball({**files, f"go-{version}/lib/runtime": "code"})
    where = {command: f"go-{version}/bin/{command}" for command in commands}
    return ToolPin("go", version, where, {MACHINE: put(folder, f"go-{version}.tar.gz", content)})
