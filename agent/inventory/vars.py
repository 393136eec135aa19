"""group_vars/ and host_vars/: which files speak for a group or host, read and laid over each other as Ansible does."""

from __future__ import annotations

from collections.abc import Iterator

from agent.inventory.complaint import Complaints
from agent.inventory.groups import Variables
from agent.inventory.source import Source
from agent.system.document import key_text
from agent.system.yaml import Duplicates, Map, Scalar

GROUP_VARS = "group_vars"
HOST_VARS = "host_vars"

_EXTENSIONS = (".yml", ".yaml", ".json")


class VarsFiles:
    """The files of one of the two folders, by the name that they speak for."""

    def __init__(self, source: Source, folder: str, complaints: Complaints) -> None:
        self._source = source
        self._complaints = complaints
        self._folder = folder
        self._below: dict[str, list[str]] = {}
        for path in source.paths:
            if path.startswith(f"{folder}/"):
                for file in source.below(path):
                    rest = file.removeprefix(f"{folder}/")
                    self._below.setdefault(rest.split("/")[0], []).append(rest)
        if source.has(folder):
            complaints.add(source.position(folder), (), "a folder is expected here", f"write {folder}/<name>.yaml")

    def variables(self, name: str) -> Variables:
        """What the files of ``name`` say together; a later file of a folder wins."""
        variables: Variables = {}
        for path in self._files(name):
            node = self._source.read(f"{self._folder}/{path}", self._complaints, duplicates=Duplicates.LAST_WINS)
            if isinstance(node, Map):
                variables.update({key_text(key): value for key, value in node.values.items()})
            elif node is not None and not (isinstance(node, Scalar) and not node.value):
                self._complaints.add(node.position, (), "variables are a mapping", "write `name: value` lines")
        return variables

    def _files(self, name: str) -> Iterator[str]:
        """A folder called like the name comes first, then the name itself, .yml, .yaml and .json; only one counts."""
        found = next((stem for stem in (name, *(name + end for end in _EXTENSIONS)) if stem in self._below), None)
        for path in sorted(self._below.get(found or "", ()), key=_by_part):
            if path == found or _speaks(path.split("/")[1:]):
                yield path


def _by_part(path: str) -> list[str]:
    return path.split("/")


def _speaks(parts: list[str]) -> bool:
    """Whether a file inside a vars folder counts: nothing hidden, no backups, no folders with an extension."""
    if any(part.startswith(".") or part.endswith("~") for part in parts):
        return False
    return not any(_extension(part) for part in parts[:-1]) and _extension(parts[-1]) in ("", *_EXTENSIONS)


def _extension(name: str) -> str:
    return "." + name.rsplit(".", 1)[1] if "." in name.lstrip(".") else ""
