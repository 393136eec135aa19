"""What a fetch that was cut off leaves in a repository of ours: half a pack, half an object."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LEFT: Final = ("pack/tmp_*", "pack/.tmp-*", "[0-9a-f][0-9a-f]/tmp_obj_*", "tmp_obj_*")


def drop_leftovers(repository: Path) -> int:
    """Removes it, and returns the bytes of the largest piece. The caller is the only one who writes there."""
    largest = 0
    for pattern in _LEFT:
        for left in (repository / "objects").glob(pattern):
            largest = max(largest, left.lstat().st_size)
            left.unlink(missing_ok=True)
    return largest
