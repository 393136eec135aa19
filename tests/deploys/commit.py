"""A commit as specs and operations see it: files in a folder, and values to render templates with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jinja2 import StrictUndefined, Template

from agent.domain.pins import Pins
from agent.domain.tree import Entry, Tree, blob_id


class Commit(Tree):
    """Both ``Sources`` and ``Tree``. A value is a file's content, or another's when it is a tuple:
    ``("link", target)``, ``("executable", content)``."""

    def __init__(self, root: Path, files: Mapping[str, str | bytes | tuple[str, str]], **values: object) -> None:
        self.root = root
        self.values = values
        self._files: dict[str, tuple[int, bytes]] = {}
        for path, value in files.items():
            self.put(path, value)

    def put(self, path: str, value: str | bytes | tuple[str, str]) -> None:
        kind, content = value if isinstance(value, tuple) else ("file", value)
        data = content.encode() if isinstance(content, str) else content
        mode = {"file": 0o100644, "executable": 0o100755, "link": 0o120000}[kind]
        self._files[path] = (mode, data)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    @property
    def tree(self) -> Commit:
        return self

    pins = Pins()
    inventory = "lab"

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        return tuple(
            Entry(path, mode, blob_id(data))
            for path, (mode, data) in sorted(self._files.items())
            if not prefix or path == prefix or path.startswith(f"{prefix}/")
        )

    def read(self, path: str) -> bytes:
        return self._files[path][1]

    def render(self, template: str, origin: str) -> str:
        return Template(template, undefined=StrictUndefined, keep_trailing_newline=True).render(self.values)


def snapshot(folder: Path) -> dict[str, tuple[str, int, object]]:
    """Everything below ``folder`` but its times: path → type, mode, content."""
    found: dict[str, tuple[str, int, object]] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            mode = path.lstat().st_mode & 0o7777
            relative = f"{path.relative_to(folder)}"
            if path.is_symlink():
                found[relative] = ("link", 0, f"{path.readlink()}")
            elif path.is_dir():
                found[relative] = ("directory", mode, None)
            elif path.is_file():
                found[relative] = ("file", mode, path.read_bytes())
            else:
                found[relative] = ("other", mode, None)
    return found
