"""group_vars/ and host_vars/: the files about a group or host, merged as Ansible merges them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agent.inventory.ansible.groups import Variables
from agent.inventory.ansible.sops_vars import IN_CLEAR, is_sops, sealed
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.source import COPY, Source, is_backup, is_expected_beside
from agent.system.document import Map, Scalar, key_text
from agent.system.sops import is_called_sops

GROUP_VARS = "group_vars"
HOST_VARS = "host_vars"

_EXTENSIONS = (".yml", ".yaml", ".json")
_OF_SOPS = (".sops.yml", ".sops.yaml", ".sops.json")
"""Ends of the names of SOPS files about a group or host. Their variables override those of its other files, as with the
vars plugin of community.sops."""


class VarsFiles:
    """The files of group_vars/ or host_vars/, by the group or host that they are about."""

    def __init__(self, source: Source, folder: str) -> None:
        self._source = source
        self._folder = folder
        self._below: dict[str, list[str]] = {}
        for path in source.paths:
            if path.startswith(f"{folder}/"):
                for file in source.below(path):
                    rest = file.removeprefix(f"{folder}/")
                    self._below.setdefault(rest.split("/")[0], []).append(rest)

    def variables(self, name: str) -> Variables:
        """The variables of ``name``. Of several files in a folder the later one wins. Raises ComplaintsError."""
        variables: Variables = {}
        complaints = Complaints()
        for path in self._files(name):
            node = self._source.read(f"{self._folder}/{path}", complaints)
            if is_called_sops(path) and node is not None and not is_sops(node):
                complaints.add(self._source.position(f"{self._folder}/{path}"), (), *IN_CLEAR)
            elif isinstance(node, Map):
                node = self._sealed(node, f"{self._folder}/{path}", complaints)
                variables.update({key_text(key): value for key, value in node.values.items()})
            elif node is not None and not (isinstance(node, Scalar) and not node.value):
                complaints.add(node.position, (), "variables are a mapping", "write `name: value` lines")
        complaints.raise_if_any()
        return variables

    def _sealed(self, node: Map, path: str, complaints: Complaints) -> Map:
        """``node``; where it is a SOPS file, with tokens in place of its secrets."""
        real = self._source.real(path) if is_sops(node) else None
        entry = self._source.tree.entry(real) if real is not None else None
        return node if entry is None else sealed(node, entry.path, entry.blob, complaints)

    def complain_of_unread(
        self, names: Collection[str], what: str, others: tuple[str, Collection[str]], complaints: Complaints
    ) -> None:
        """Complain of files that nobody reads. ``names``: the groups or hosts (``what``) that files may be about.
        ``others``: the other folder and its names."""
        other, there = others
        if self._source.has(self._folder):
            place = self._source.position(self._folder)
            complaints.add(place, (), "a folder is expected here", f"write {self._folder}/<name>.yaml")
        for stem in sorted(self._below):
            ends = (*_OF_SOPS, *_EXTENSIONS)
            name = next((stem.removesuffix(end) for end in ends if stem.endswith(end)), stem)
            counts = stem if stem.endswith(_OF_SOPS) else self._stem(name)
            place = self._source.position(f"{self._folder}/{stem}")
            if is_expected_beside(stem):
                continue
            if is_backup(stem) and name not in names:
                complaints.add(place, (), *COPY)
            elif name not in names:
                otherwise = f"call it after one of the hosts file, or move it to {other}/"
                remedy = f"move it to {other}/" if name in there else nearest(name, names, otherwise=otherwise)
                complaints.add(place, (), f'there is no {what} "{name}", so nobody reads this', remedy)
            elif counts != stem:
                complaints.add(
                    place, (), f"{self._folder}/{counts} counts, so nobody reads this", "keep one of the two"
                )
            else:
                self._complain_of_unread_inside(stem, complaints)

    def _complain_of_unread_inside(self, stem: str, complaints: Complaints) -> None:
        for path in self._below[stem]:
            inside = path.split("/")[1:]
            if inside and not _is_read(inside) and not is_expected_beside(inside[-1]):
                said = COPY if is_backup(inside[-1]) else ("nobody reads this", "end its name in .yaml")
                complaints.add(self._source.position(f"{self._folder}/{path}"), (), *said)

    def _stem(self, name: str) -> str | None:
        """The file or folder about ``name`` that is read: the first of those with no extension, .yml, .yaml or .json.
        None without one."""
        return next((stem for stem in (name, *(name + end for end in _EXTENSIONS)) if stem in self._below), None)

    def _files(self, name: str) -> Iterator[str]:
        """The files about ``name``, in order: those of the first that exists of ``name`` itself (a folder or a file)
        and ``name`` with .yml, .yaml or .json; then the SOPS files."""
        found = self._stem(name)
        for path in sorted(self._below.get(found or "", ()), key=_by_part):
            if path == found or _is_read(path.split("/")[1:]):
                yield path
        yield from (stem for stem in (name + end for end in _OF_SOPS) if stem in self._below)


def _by_part(path: str) -> list[str]:
    return path.split("/")


def _is_read(parts: list[str]) -> bool:
    """True if a file inside a vars folder is read: it is not hidden and no backup, has an extension of YAML or JSON or
    none, and no folder on its path has an extension."""
    if any(part.startswith(".") or part.endswith("~") for part in parts):
        return False
    return not any(_extension(part) for part in parts[:-1]) and _extension(parts[-1]) in ("", *_EXTENSIONS)


def _extension(name: str) -> str:
    return "." + name.rsplit(".", 1)[1] if "." in name.lstrip(".") else ""
