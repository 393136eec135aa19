"""One set of one home: found in its repository, read by its layout, and checked."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from agent.deploys.dotfiles import chezmoi, stow
from agent.deploys.dotfiles.contents import IGNORE, Contents, Leaf, SetFiles, contradictions, matches
from agent.deploys.dotfiles.other_tools import STOW_SETTINGS, signs, stow_settings
from agent.deploys.items import STABLE
from agent.deploys.spec import Sources
from agent.deploys.written import Written
from agent.domain.address import Address
from agent.domain.fault import Fault, Mistake
from agent.domain.near import near
from agent.domain.tree import Tree, below

FOLDER = "dotfiles"
AGE_BEGINS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")


class Layout(StrEnum):
    PLAIN = "plain"
    STOW = "stow"
    CHEZMOI = "chezmoi"


class Way(StrEnum):
    COPY = "copy"
    LINK = "link"


class Ways(Written):
    """The fields of a play that hold for all of its sets."""

    layout: Layout = Layout.PLAIN
    """The layout of the sets. `plain`: as files lie in a home. `stow`: packages of GNU Stow. `chezmoi`: chezmoi's
    source names."""
    mode: Way = Field(
        default=Way.COPY,
        description=f"`copy`: files in the home. `link`: links to copies below `~/{STABLE}/`, whose paths no commit"
        " changes.",
    )
    fold: bool = False
    """With `mode: link`: a folder that is one set's alone becomes one link, as with GNU Stow; false is `stow
    --no-folding`. A folder with files of others that is there already is in the way of such a link."""
    dot_prefix: bool = False
    """With `layout: stow`: `dot-bashrc` becomes `.bashrc`, as with `stow --dotfiles`."""
    ignore: tuple[str, ...] = ()
    """Shell patterns of files to leave out, by path in the set or in the home."""
    templates: bool = False
    """With `repo`: render its `*.j2`, too. Its templates then see all variables of the host."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One set, with the ways in which a home wants it. ``name`` is empty for all of ``repo``."""

    name: str
    repo: Address | None
    ways: Ways

    @property
    def identity(self) -> tuple[str, Address | None]:
        return self.name, self.repo

    def read(self, sources: Sources) -> Laid:
        """The set, read and checked. Raises Mistake with all faults of the set, InventoryError for a repository without
        a pin or not fetched."""
        pin = sources.pins.repository(self.repo) if self.repo is not None else None
        tree = sources.tree if pin is None else sources.repository(pin)
        folder = FOLDER if self.repo is None else self.repo.path
        entries = below(tree, posixpath.join(folder, self.name))
        if not entries:
            raise self._missing({path.partition("/")[0] for path in below(tree, folder) if "/" in path})
        kept = {path: entry for path, entry in entries.items() if not matches(path, self.ways.ignore)}
        files = SetFiles(posixpath.join(folder, self.name) if self.repo is None else self._label, tree, kept)
        if faults := [*signs(files.name, kept, self.ways.layout), *self._stow_settings(tree, folder)]:
            raise Mistake.of(faults)
        contents = self._contents(files).without(self.ways.ignore, ignored=self.ways.mode is Way.COPY)
        faults = [*contradictions(contents), *(fault for leaf in contents.leaves for fault in self._faults(tree, leaf))]
        if faults:
            raise Mistake.of(faults)
        stable = self._stable if self.ways.mode is Way.LINK else None
        return Laid(self, contents, files, stable, pin.tree if pin else None)

    def _contents(self, files: SetFiles) -> Contents:
        match self.ways.layout:
            case Layout.PLAIN:
                return Contents(tuple(files.leaf(path, path) for path in files.entries))
            case Layout.STOW:
                return stow.read(files, dots=self.ways.dot_prefix)
            case Layout.CHEZMOI:
                return chezmoi.read(files)

    def _faults(self, tree: Tree, leaf: Leaf) -> Iterator[Fault]:
        path = leaf.entry.path
        if leaf.sealed and not leaf.ignored and not tree.read(path).startswith(AGE_BEGINS):
            yield Fault(f"{path} is no age file", f"make it with `age -r …`, or {IGNORE}")
        if leaf.sealed and leaf.template and not leaf.ignored:
            yield Fault(f"{path} is a template and encrypted", f"put the secret into secrets/ and call it, or {IGNORE}")
        if not leaf.absent and not leaf.ignored and (found := tree.stand_in(leaf.entry)):
            yield Fault(f"{path} {found.what}", f"{found.remedy}, or {IGNORE}")
        if leaf.template and self.repo is not None and not self.ways.templates:
            problem = f"{self._label}: {path} is a template, and would see all variables of the host"
            yield Fault(problem, f"allow that with `templates: true`, or {IGNORE}")

    def _stow_settings(self, tree: Tree, folder: str) -> Iterator[Fault]:
        """Faults of the options of GNU Stow that lie beside its packages."""
        path = posixpath.join(folder, STOW_SETTINGS)
        if self.ways.layout is Layout.STOW and not matches(STOW_SETTINGS, self.ways.ignore) and tree.entry(path):
            yield from stow_settings(path, tree.read(path).decode(errors="replace"), dots=self.ways.dot_prefix)

    @property
    def _label(self) -> str:
        return f"{self.repo}/{self.name}".rstrip("/")

    @property
    def _stable(self) -> str:
        """The folder of the copies. It is the same for every commit of a repository, and another for each
        repository."""
        if self.repo is None:
            return f"{STABLE}/{FOLDER}/{self.name}"
        origin = f"{self.repo.url}//{self.repo.path}"
        name = posixpath.basename(self.repo.url).removesuffix(".git")
        folder = f"{name}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        return posixpath.join(STABLE, folder, self.name or "all")

    def _missing(self, sets: Iterable[str]) -> Mistake:
        if not self.name:
            return Mistake(f"there are no files in {self.repo}", "name a folder with files in it behind //")
        meant = near(self.name, sets)
        hint = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(sorted(sets)) or 'none'}"
        where = f"{FOLDER}/{self.name}/ in the config repo" if self.repo is None else f"{self.name}/ in {self.repo}"
        return Mistake(f"there is no set {where}", hint)


@dataclass(frozen=True, slots=True)
class Laid:
    """A layer that was read. ``stable`` is the folder of its copies; None if it is copied into the home itself.
    ``repository`` is the digest of the tree that its files come from; None for files of the config repo."""

    layer: Layer
    contents: Contents
    files: SetFiles
    stable: str | None = None
    repository: str | None = None
