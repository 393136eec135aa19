"""Several changes on a host that stay together or are all taken back, unless the process is killed between."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from agent.host.installation import point
from agent.system.files import discard, write_atomic


class Undo(ExitStack):
    """A context that takes back, in reverse order, the changes made through it, unless ``keep`` is called before its
    end."""

    def folder(self, path: Path, *, mode: int = 0o700) -> None:
        """Make a folder if it is not there. Taken back, it is removed with all that is in it by then."""
        if not path.is_dir():
            self.callback(discard, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=mode)

    def created(self, path: Path) -> None:
        """Be ready for a new file or folder at ``path``: if nothing is there now, what is there later is removed."""
        if not os.path.lexists(path):
            self.callback(discard, path)

    def file(self, path: Path, content: bytes, *, mode: int = 0o600) -> bool:
        """Write a file. Return True if it had to change. Taken back, it gets its old content, or is removed."""
        if path.is_file() and path.read_bytes() == content:
            return False
        self.restored(path)
        write_atomic(path, content, mode=mode)
        return True

    def restored(self, path: Path) -> None:
        """Be ready for a change at ``path``: the file or link that is there now is put back. If nothing is there, as
        ``created``."""
        if path.is_symlink():
            self.callback(point, path, path.readlink())
        elif path.is_file():
            self.callback(write_atomic, path, path.read_bytes(), mode=stat.S_IMODE(path.stat().st_mode))
        else:
            self.created(path)

    def keep(self) -> None:
        self.pop_all()
