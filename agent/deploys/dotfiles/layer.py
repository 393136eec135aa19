"""One set of one home: where it lies, how it is read and how it gets there; turned into what it wants."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from agent.deploys.dotfiles import chezmoi, plain, stow
from agent.deploys.dotfiles.contents import IGNORE, SetFiles, complaints, matches, wrong_with
from agent.deploys.dotfiles.other_tools import STOW_SETTINGS, signs, stow_settings
from agent.deploys.dotfiles.overlay import STABLE, Laid
from agent.deploys.spec import Sources
from agent.domain.address import Address
from agent.domain.fault import Mistake
from agent.domain.pins import RepositoryPin
from agent.domain.tree import Entry, Tree

FOLDER = "dotfiles"


class Layout(StrEnum):
    PLAIN = "plain"
    STOW = "stow"
    CHEZMOI = "chezmoi"


class Way(StrEnum):
    COPY = "copy"
    LINK = "link"


class Ways(BaseModel):
    """What a play says of its sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Layout = Field(
        default=Layout.PLAIN,
        description="How the sets are written. `plain`: as files lie in a home. `stow`: packages of GNU Stow."
        " `chezmoi`: chezmoi's source names.",
    )
    mode: Way = Field(
        default=Way.COPY,
        description=f"`copy`: files in the home. `link`: links to copies below `~/{STABLE}/`, whose paths no commit"
        " changes.",
    )
    fold: bool = Field(
        default=False,
        description="With `mode: link`: a folder that is one set's alone becomes one link, as with GNU Stow; false is"
        " `stow --no-folding`. A folder with files of others that is there already is in the way of such a link.",
    )
    dot_prefix: bool = Field(
        default=False, description="With `layout: stow`: `dot-bashrc` becomes `.bashrc`, as with `stow --dotfiles`."
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Shell patterns of what is left out, by path in the set or in the home."
    )
    templates: bool = Field(
        default=False,
        description="With `repo`: render its `*.j2`, too. Its templates then see all variables of the host.",
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """``name`` is a set's, or empty for all of ``repo``."""

    name: str
    repo: Address | None
    ways: Ways

    @property
    def identity(self) -> tuple[str, Address | None]:
        return self.name, self.repo

    def read(self, found: Folders) -> Laid:
        """Raises InventoryError with everything that is wrong with the set."""
        tree, pin, folder = found.of(self.repo)
        entries = found.sets(self.repo).get(self.name) if self.name else _below(tree, folder)
        if not entries:
            raise self._missing(found.sets(self.repo))
        ways = self.ways
        kept = {path: entry for path, entry in entries.items() if not matches(path, ways.ignore)}
        files = SetFiles(posixpath.join(folder, self.name) if self.repo is None else self._label, tree, kept)
        if wrong := [*signs(files.name, kept, ways.layout), *self._stow_settings(tree, folder)]:
            raise wrong_with(wrong)
        match ways.layout:
            case Layout.PLAIN:
                contents = plain.read(files)
            case Layout.STOW:
                contents = stow.read(files, dots=ways.dot_prefix)
            case Layout.CHEZMOI:
                contents = chezmoi.read(files)
        contents = contents.without(ways.ignore, ignored=ways.mode is Way.COPY)
        wrong = complaints(contents)
        for leaf in contents.leaves:
            if not leaf.absent and not leaf.ignored and (found_there := tree.stand_in(leaf.entry)):
                wrong.append(f"{leaf.entry.path} {found_there.what}; {found_there.remedy}, or {IGNORE}")
        if self.repo is not None and not ways.templates:
            wrong += [
                f"{self._label}: {leaf.entry.path} is a template, and would see all variables of the host: allow that"
                f" with `templates: true`, or {IGNORE}"
                for leaf in contents.leaves
                if leaf.template
            ]
        if wrong:
            raise wrong_with(wrong)
        return Laid(
            contents,
            files,
            stable=self._stable if ways.mode is Way.LINK else None,
            fold=ways.fold,
            links_too=ways.layout is Layout.STOW,
            repository=pin.tree if pin else None,
        )

    def _stow_settings(self, tree: Tree, folder: str) -> list[str]:
        """What is wrong with the options of GNU Stow that lie beside its packages."""
        path = posixpath.join(folder, STOW_SETTINGS)
        ours = self.ways.layout is Layout.STOW and any(entry.path == path for entry in tree.entries(folder))
        if not ours or matches(STOW_SETTINGS, self.ways.ignore):
            return []
        text = tree.read(path).decode(errors="replace")
        return [*stow_settings(path, text, dots=self.ways.dot_prefix)]

    @property
    def _label(self) -> str:
        return f"{self.repo}/{self.name}".rstrip("/")

    @property
    def _stable(self) -> str:
        """The same for every commit of a repository, and another for another repository."""
        if self.repo is None:
            return f"{STABLE}/{FOLDER}/{self.name}"
        origin = f"{self.repo.url}//{self.repo.path}"
        name = posixpath.basename(self.repo.url).removesuffix(".git")
        folder = f"{name}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        return posixpath.join(STABLE, folder, self.name or "all")

    def _missing(self, sets: Iterable[str]) -> Mistake:
        if not self.name:
            return Mistake(f"there are no files in {self.repo}", "name a folder with files in it behind //")
        near = difflib.get_close_matches(self.name, list(sets), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(sets)) or 'none'}"
        where = f"{FOLDER}/{self.name}/ in the config repo" if self.repo is None else f"{self.name}/ in {self.repo}"
        return Mistake(f"there is no set {where}", hint)


class Folders:
    """The folders that sets lie in: of the config repo and of others, each listed once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._sets: dict[Address | None, dict[str, dict[str, Entry]]] = {}

    def of(self, repo: Address | None) -> tuple[Tree, RepositoryPin | None, str]:
        """Raises InventoryError for a repository that lock.yaml does not pin, or that is not here."""
        if repo is None:
            return self._sources.tree, None, FOLDER
        pin = self._sources.pins.repository(repo)
        return self._sources.repository(pin), pin, repo.path

    def sets(self, repo: Address | None) -> Mapping[str, Mapping[str, Entry]]:
        """Of each set its files by their path in the set."""
        if repo not in self._sets:
            tree, _, folder = self.of(repo)
            found: dict[str, dict[str, Entry]] = {}
            for inside, entry in _below(tree, folder).items():
                name, _, path = inside.partition("/")
                if path:
                    found.setdefault(name, {})[path] = entry
            self._sets[repo] = found
        return self._sets[repo]


def _below(tree: Tree, folder: str) -> dict[str, Entry]:
    prefix = f"{folder}/" if folder else ""
    return {entry.path.removeprefix(prefix): entry for entry in tree.entries(folder) if entry.path != folder}
