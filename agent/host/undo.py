"""Several changes that stay together or not at all, as long as the process lives to see to it."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from agent.host.installation import point
from agent.system.files import discard, write_atomic


class Undo(ExitStack):
    """Takes back, in reverse order, what was done through it, unless ``keep`` is called before it is left."""

    def folder(self, path: Path, *, mode: int = 0o700) -> None:
        """A folder that was not there goes again, with all that is in it by then."""
        if not path.is_dir():
            self.callback(discard, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=mode)

    def created(self, path: Path) -> None:
        """Remove what will be at ``path``, if there is nothing now."""
        if not os.path.lexists(path):
            self.callback(discard, path)

    def file(self, path: Path, content: bytes, *, mode: int = 0o600) -> bool:
        """Writes a file that gets its old content back; whether it had to change."""
        if path.is_file() and path.read_bytes() == content:
            return False
        self.restored(path)
        write_atomic(path, content, mode=mode)
        return True

    def restored(self, path: Path) -> None:
        """Put back what is at ``path`` now: a file or a link."""
        if path.is_symlink():
            self.callback(point, path, path.readlink())
        elif path.is_file():
            self.callback(write_atomic, path, path.read_bytes(), mode=stat.S_IMODE(path.stat().st_mode))
        else:
            self.created(path)

    def keep(self) -> None:
        self.pop_all()
