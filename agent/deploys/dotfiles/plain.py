"""Layout plain: a set lies as it should lie in the home, with Git's modes; ``*.j2`` are templates."""

from __future__ import annotations

from agent.deploys.dotfiles.contents import Contents, Leaf, SetFiles, without_suffix
from agent.deploys.items import EXECUTABLE_MODE, FILE_MODE


def read(files: SetFiles) -> Contents:
    return Contents(tuple(leaf(files, path, path) for path in files.entries))


def leaf(files: SetFiles, path: str, home_path: str, ignored: int = 0) -> Leaf:
    """The set's file at ``path``, for ``home_path`` in the home."""
    entry = files.entries[path]
    if entry.link:
        target = files.target(entry)
        return Leaf(path=home_path, origin=path, entry=entry, target=target, ignored=ignored)
    origin, template = without_suffix(path)
    if template:
        home_path, _ = without_suffix(home_path)
    mode = EXECUTABLE_MODE if entry.executable else FILE_MODE
    return Leaf(path=home_path, origin=origin, entry=entry, template=template, mode=mode, ignored=ignored)
