"""secrets/: the files of secrets of an inventory, their readers, and ``secret()`` in templates.

``secrets/<group or host>/<name>.age``: the folder says who may read. Nothing here decrypts a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from jinja2 import TemplateError

from agent.domain.digest import JSON
from agent.domain.fault import Mistake
from agent.domain.layout import HOST_NAME
from agent.domain.merge_conflict import MERGE_CONFLICT, whole_conflict_line
from agent.domain.sealed import FILE, SOPS, expressions
from agent.domain.tree import Absence, Entry, nearest_path
from agent.errors import InventoryError
from agent.inventory.complaint import Complaints, nearest
from agent.inventory.source import Source, is_backup
from agent.inventory.template.sealed import Sealed
from agent.system import sops
from agent.system.age import is_age, is_whole, unarmoured
from agent.system.document import Position, plain
from agent.system.yaml import load

SECRETS = "secrets"
SUFFIX = ".age"
NAME = re.compile(rf"{HOST_NAME.pattern}/[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}")

_FORM = "secret('<group or host>/<name>')"


class SecretFiles:
    """The files below ``secrets/``. ``groups``: their hosts by name; ``hosts``: the names of all hosts."""

    def __init__(self, source: Source, groups: Mapping[str, tuple[str, ...]], hosts: tuple[str, ...]) -> None:
        self._source = source
        self._readers = {**{host: (host,) for host in hosts}, **groups}
        self._paths = {
            name: path
            for path in source.paths
            if path.startswith(f"{SECRETS}/")
            and path.endswith(SUFFIX)
            and NAME.fullmatch(name := path.removeprefix(f"{SECRETS}/").removesuffix(SUFFIX))
        }
        self._files: dict[str, Entry] = {}
        self._copies: dict[bytes, list[str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._paths))

    @property
    def locked(self) -> Position:
        """The position of lock.yaml, which has the recipients of each file."""
        return self._source.position("lock.yaml")

    @property
    def folders(self) -> tuple[str, ...]:
        """The names that a folder may have: the groups and the hosts."""
        return tuple(self._readers)

    def file(self, name: str) -> Entry:
        """The file called ``name``, one of ``names``."""
        if name not in self._files:
            self._files[name] = self._source.entry(self._paths[name])
        return self._files[name]

    def content(self, name: str) -> bytes:
        return self._source.tree.read(self.file(name).path)

    def absence(self, name: str) -> Absence | None:
        """The reason why the file called ``name`` is not in the commit although something lies at its path; None where
        there is none."""
        return self._source.tree.absence(f"{self._source.folder}/{SECRETS}/{name}{SUFFIX}")

    def copies(self, name: str) -> tuple[str, ...]:
        """The files of other folders with the same content: one of them was copied to readers whom it is not for."""
        if not self._copies:
            for each in self.names:
                self._copies.setdefault(unarmoured(self.content(each)), []).append(each)
        folder = f"{name.partition('/')[0]}/"
        same = self._copies.get(unarmoured(self.content(name)), ())
        return tuple(each for each in same if not each.startswith(folder))

    def readers(self, folder: str) -> tuple[str, ...] | None:
        """The hosts that may read the files of ``folder``; None where no group or host is called so."""
        return self._readers.get(folder)

    def function(self, host: str) -> Callable[..., Sealed]:
        """``secret()`` as templates of ``host`` call it."""

        def secret(name: object = None, *, binary: object = False) -> Sealed:
            if not isinstance(name, str) or not isinstance(binary, bool):
                raise TemplateError(f"secret() takes the name of a file; write {_FORM}")
            self._require(name, host)
            found = self.file(name)
            shown = f"secret({name!r}{', binary=true' if binary else ''})"
            said: dict[str, JSON] = {"path": found.path, "blob": found.blob, "binary": binary, "call": shown}
            return Sealed.of({"is": FILE, **said})

        return secret

    def require_readable(self, text: str, host: str) -> None:
        """Raise Mistake unless ``host`` may read each file of secrets that a token in ``text`` stands for."""
        names = {path: name for name, path in self._paths.items()}
        for expression in expressions(text):
            path = f"{expression.get('path')}".removeprefix(f"{self._source.folder}/")
            if expression.get("is") == FILE and "repository" not in expression and path in names:
                self._require(names[path], host)

    def sops_function(self) -> Callable[..., Sealed]:
        """``sops()`` as templates call it: a value of a SOPS file of the repository, or the whole file."""

        def called(path: object = None, key: object = "") -> Sealed:
            if not isinstance(path, str) or not isinstance(key, str):
                raise TemplateError("sops() takes the path of a file and a key; write sops('path', 'key.of.value')")
            tree = self._source.tree
            entry = tree.entry(path)
            if entry is None or entry.link:
                near = nearest_path(tree, path)
                raise TemplateError(f"there is no file {path}; {f'did you mean {near}?' if near else 'add it'}")
            try:
                value: object = sops.read(tree.read(path), path, lambda content: plain_yaml(content, path)).root
            except (sops.SopsError, InventoryError) as error:
                raise TemplateError(f"{path} is no file of SOPS: {error}; make it with `sops encrypt`") from None
            parts = key.split(".") if key else []
            try:
                sops_value(value, parts)
            except LookupError:
                known = map(str, value) if isinstance(value, dict) else ()
                near = nearest(key, known, otherwise="name a key that is there, as in db.password")
                raise TemplateError(f"{path} has no {key}; {near}") from None
            shown = f"sops({path!r}, {key!r})" if key else f"sops({path!r})"
            return Sealed.of({"is": SOPS, "path": path, "blob": entry.blob, "key": parts, "call": shown})

        called.__qualname__ = "sops"  # which Python's errors name
        return called

    def _require(self, name: str, host: str) -> None:
        """Raise Mistake unless ``host`` may read the file ``name``."""
        folder, _, rest = name.partition("/")
        if name not in self._paths and not rest:
            found = sorted(each for each in self._paths if each.endswith(f"/{name}"))
            raise Mistake(f"{name!r} names no folder", f"write {f'secret({found[0]!r})' if found else _FORM}")
        if name not in self._paths:
            path = f"{self._source.folder}/{SECRETS}/{name}{SUFFIX}"
            if away := self.absence(name):
                raise Mistake(f"{path} {away.why}", away.remedy)
            readable = [each for each in self._paths if host in self._readers.get(each.partition("/")[0], ())]
            make_it = f"make it with `hostwright secret set {name}` in the config repo"
            near = nearest(name, readable)
            raise Mistake(f"there is no {path}", f"{near} Else {make_it}" if near else make_it)
        if host not in self._readers.get(folder, ()):
            remedy = "move the file to the folder of a group that the host is in, or of the host itself"
            raise Mistake(f"secret({name!r}) is for {folder}, and {host} is not of it", remedy)

    def complain(self, complaints: Complaints) -> None:
        """Complain of files in ``secrets/`` that nobody reads, that are no whole age files, or that were copied from
        the folder of other readers."""
        for path in sorted(path for path in self._source.paths if path.startswith(f"{SECRETS}/")):
            name = path.removeprefix(f"{SECRETS}/")
            place = self._source.position(path)
            base = name.rpartition("/")[2]
            if base.startswith((".", "README")):
                continue
            folder, _, rest = name.partition("/")
            if not rest or "/" in rest or not name.endswith(SUFFIX) or is_backup(base):
                remedy = f"a secret is called {SECRETS}/<group or host>/<name>{SUFFIX}; never commit one in clear"
                complaints.add(place, (), "nobody reads this", remedy)
            elif not NAME.fullmatch(name.removesuffix(SUFFIX)):
                complaints.add(place, (), f'"{rest}" is not a name for a secret', "letters, digits, dots, _ and -")
            elif folder not in self._readers:
                remedy = nearest(folder, self._readers, otherwise="name the folder like a group or host")
                complaints.add(place, (), f'there is no group or host "{folder}", so nobody may read this', remedy)
            elif self._source.entry(path).link:
                complaints.add(place, (), "a link, which is not followed", "put the file itself here")
            elif wrong := damage(self._source.tree.read(f"{self._source.folder}/{path}")):
                complaints.add(place, (), *wrong)
            elif copies := self.copies(name.removesuffix(SUFFIX)):
                complaints.add(place, (), *copied(copies))


def damage(content: bytes) -> tuple[str, str] | None:
    """Problem and remedy of a file of secrets that nobody can decrypt; None where some key may."""
    if whole_conflict_line(content.decode(errors="replace")):
        return MERGE_CONFLICT[0], "take one side (`git checkout --ours` or `--theirs`): the lines belong together"
    if not is_age(content):
        remedy = "write it with `hostwright secret set` in the config repo; change a value that stood in clear"
        return "this is no age file", remedy
    if not is_whole(content):
        remedy = "take it from Git again (`git restore`), or set it anew by `hostwright secret set` in the config repo"
        return "this age file is damaged or cut off", remedy
    return None


def copied(copies: Sequence[str]) -> tuple[str, str]:
    """Problem and remedy of a file of which ``copies`` lie in other folders."""
    problem = f"the same encrypted bytes are {SECRETS}/{copies[0]}{SUFFIX}, which is for others"
    return (
        problem,
        "remove the one that somebody copied; set others a value with `hostwright secret set` in the config repo",
    )


def plain_yaml(content: bytes, path: str) -> object:
    """``content`` as plain data. Raises InventoryError."""
    node = load(content, path, core=True)
    return plain(node) if node is not None else None


def sops_value(root: object, key: Sequence[str]) -> object:
    """The value at ``key`` below ``root``, the data of a SOPS file; ``root`` for an empty key. Raises LookupError."""
    for part in key:
        if isinstance(root, dict):
            root = root[part]
        elif isinstance(root, list) and part.isdecimal() and len(part) < 6:
            root = root[int(part)]
        else:
            raise LookupError(key)
    return root
