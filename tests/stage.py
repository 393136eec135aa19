"""One folder for all tests of a module that begin with the same files, which hold their own paths: made once, and
brought back to where it was made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Stage:
    def __init__(self, folder: Path) -> None:
        """``folder``: a new one of its own."""
        self.folder = folder / "live"
        self._kept = folder / "kept"
        self._values: dict[str, Any] = {}

    def clear(self) -> None:
        """Leave nothing in ``folder``."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def restore(self, name: str, make: Callable[[], T]) -> T:
        """Bring ``folder`` back to what ``make`` made of it, and return what that returned. The first call
        for ``name`` calls it. Nothing that is returned may be open."""
        if name not in self._values:
            self._values[name] = make()
            shutil.copytree(self.folder, self._kept / name, symlinks=True)
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept / name, self.folder, symlinks=True)
        found: T = self._values[name]
        return found
