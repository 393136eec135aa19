"""The overlay of sets in one home: all that they want turned into items, with links and the copies that these lead to.

A folder that several sets have is a real folder with the things of all of them. If several sets have a file of one
path, the last one's counts. Links are relative and lead to ``STABLE``, in the home itself: private files stay private.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from agent.deploys.dotfiles.contents import IGNORE, Leaf
from agent.deploys.dotfiles.layer import Laid, Layer, Layout
from agent.deploys.items import STABLE, Item, Policy, misplaced, parents, require_private
from agent.deploys.spec import overlaid as laid_over
from agent.domain.digest import JSON
from agent.domain.fault import Mistake
from agent.domain.sealed import FILE, token

PRIVATE_FOLDERS = (".ssh", ".gnupg")
"""Folders whose programs refuse files that others can read. Git does not keep such modes."""

PRIVATE_FILES = (
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".aws/credentials",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".kube/config",
)
"""Files in which programs keep passwords and keys."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Home:
    """All that the plays want of one home: the layers, and policies and modes by path or shell pattern. Of several
    patterns that match, the last one counts."""

    layers: tuple[Layer, ...] = ()
    policy: Mapping[str, Policy] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    """Octal modes of files; of folders if the pattern ends in ``/``."""
    backup: bool = False

    def file_mode(self, path: str, mode: int) -> int:
        private = path.partition("/")[0] in PRIVATE_FOLDERS or path in PRIVATE_FILES
        said = _last(self.modes, path, "")
        return int(said, 8) if said else mode & 0o700 if private else mode

    def folder_mode(self, path: str, mode: int | None) -> int | None:
        """The mode of a folder; None if a folder that is there is left as it is."""
        private = path.partition("/")[0] in PRIVATE_FOLDERS
        modes = {pattern[:-1]: mode for pattern, mode in self.modes.items() if pattern.endswith("/")}
        said = _last(modes, path, "")
        return int(said, 8) if said else 0o700 if private else mode

    def merged(self, later: Home, *, backup: bool) -> Home:
        """The home with a later play's laid over it. A set that both have keeps its place in the order; its ways are
        merged, and of two the later one wins."""
        layers = {layer.identity: layer for layer in self.layers}
        for layer in later.layers:
            under = layers.get(layer.identity)
            layers[layer.identity] = replace(layer, ways=laid_over(under.ways, layer.ways)) if under else layer
        return Home(tuple(layers.values()), {**self.policy, **later.policy}, {**self.modes, **later.modes}, backup)

    def policy_of(self, path: str, policy: Policy) -> Policy:
        return _last(self.policy, path, policy)


def _last(patterns: Mapping[str, T], path: str, otherwise: T) -> T:
    return next((value for pattern, value in reversed(list(patterns.items())) if fnmatchcase(path, pattern)), otherwise)


_RenderTemplate = Callable[[str, str], str]
"""A function that renders a template; the second argument is its path."""

_Found = list[tuple[Laid, Leaf]]


def overlaid(user: str, sets: Sequence[Laid], home: Home, render: _RenderTemplate) -> list[Item]:
    """All items of ``user``'s home, sorted by path. Raises Mistake for sets that contradict each other, and whatever
    ``render`` raises."""
    overlay = _Overlay(user, sets, home, render)
    overlay.lay("", [(laid, leaf) for laid in sets for leaf in laid.contents.leaves])
    overlay.add_own_folders()
    overlay.check()
    return [overlay.items[path] for path in sorted(overlay.items)]


class _Overlay:
    def __init__(self, user: str, sets: Sequence[Laid], home: Home, render: _RenderTemplate) -> None:
        self._user = user
        self._home = home
        self._render = render
        self._folders = {path: mode for laid in sets for path, mode in laid.contents.folders.items()}
        self.items: dict[str, Item] = {}

    def lay(self, folder: str, found: _Found) -> None:
        """Lay all that the sets want below ``folder``, in the order of the sets."""
        depth = folder.count("/") + 1 if folder else 0
        by_name: dict[str, _Found] = {}
        for laid, leaf in found:
            if leaf.ignored != depth + 1:
                by_name.setdefault(leaf.path.split("/")[depth], []).append((laid, leaf))
        for name, below in by_name.items():
            path = f"{folder}/{name}" if folder else name
            winning = _winning(path, below)
            laid, leaf = winning[-1]
            if leaf.path == path:
                self._place(laid, leaf)
            elif _is_one_link(path, winning):
                self._fold(path, laid, [leaf for _, leaf in winning])
            else:
                if any(not leaf.absent for _, leaf in winning):
                    self._folder(path, path)
                self.lay(path, winning)

    def add_own_folders(self) -> None:
        """Add the folders that sets want even if empty."""
        for path in self._folders:
            above = (path, *parents(path))
            if all(part not in self.items or self.items[part].kind == "directory" for part in above):
                for part in above:
                    self._folder(part, part)

    def check(self) -> None:
        for item, above, what in misplaced(self.items.values(), self.items):
            problem = f"~{self._user}/{above.path} cannot be {what} and hold {item.path}"
            raise Mistake(problem, "leave one of the two out with `ignore`")

    def _place(self, laid: Laid, leaf: Leaf) -> None:
        if f"{leaf.path}/".startswith(f"{STABLE}/"):
            raise Mistake(f"{leaf.entry.path} is for {leaf.path}, and ~/{STABLE} is hostwright's own", IGNORE)
        as_it_is = leaf.target is not None and laid.layer.ways.layout is not Layout.STOW
        if laid.stable is None or leaf.absent or as_it_is:
            item = self._item(laid, leaf, leaf.path)
            self.items[leaf.path] = replace(item, backup=self._home.backup)
        else:
            self._copy(laid, leaf)
            self._link(leaf.path, f"{laid.stable}/{leaf.origin}", self._home.policy_of(leaf.path, leaf.policy))

    def _fold(self, path: str, laid: Laid, leaves: Iterable[Leaf]) -> None:
        depth = path.count("/") + 1
        for leaf in leaves:
            self._copy(laid, leaf)
            inner = "/".join(leaf.origin.split("/")[:depth])
        self._link(path, f"{laid.stable}/{inner}", self._home.policy_of(path, Policy.OVERWRITE))

    def _copy(self, laid: Laid, leaf: Leaf) -> None:
        """Add the copy in the stable place, and its folders with the modes that they would have in the home."""
        assert laid.stable is not None
        for folder in (laid.stable, *parents(laid.stable)):
            self._folder(folder, folder)
        for folder, origin in zip(parents(leaf.path), parents(leaf.origin), strict=True):
            self._folder(f"{laid.stable}/{origin}", folder)
        path = f"{laid.stable}/{leaf.origin}"
        self.items[path] = self._item(laid, leaf, path)

    def _item(self, laid: Laid, leaf: Leaf, path: str) -> Item:
        policy = self._home.policy_of(leaf.path, leaf.policy)
        if leaf.target is not None:
            return self._wanted("link", path, target=leaf.target, policy=policy)
        if leaf.absent:
            return self._wanted("file", path, absent=True, policy=policy)
        item = self._wanted("file", path, mode=self._home.file_mode(leaf.path, leaf.mode), policy=policy)
        if leaf.template:
            item = replace(item, text=self._render(laid.files.text(leaf.entry), leaf.entry.path))
            if item.secret:
                item = replace(item, mode=self._home.file_mode(leaf.path, leaf.mode & 0o700))
            return _private(item)
        if leaf.sealed:
            said: dict[str, JSON] = {"is": FILE, "path": leaf.entry.path, "blob": leaf.entry.blob, "binary": True}
            said |= {"repository": laid.repository, "call": f"the age file {leaf.entry.path}"}
            return _private(replace(item, text=token(said)))
        return replace(item, source=leaf.entry.path, blob=leaf.entry.blob, repository=laid.repository)

    def _link(self, path: str, stable: str, policy: Policy) -> None:
        target = "../" * path.count("/") + stable
        backup = self._home.backup
        self.items[path] = self._wanted("link", path, target=target, policy=policy, backup=backup, links_into=STABLE)

    def _folder(self, path: str, home_path: str) -> None:
        """Add a folder, unless something is wanted at its ``path``. ``home_path``: the path in the home that decides on
        its mode."""
        if path not in self.items:
            mode = self._home.folder_mode(home_path, self._folders.get(home_path))
            self.items[path] = self._wanted("directory", path, mode=mode, links_into=STABLE)

    def _wanted(self, kind: str, path: str, **more: Any) -> Item:
        return Item(kind=kind, path=path, home=self._user, owner=self._user, **more)


def _private(item: Item) -> Item:
    require_private(item, remedy='say "0600" for it in `modes`')
    return item


def _is_one_link(path: str, found: _Found) -> bool:
    """True for a folder that is folded into one link: only one set has it, and the stable place is not in it."""
    first, _ = found[0]
    alone = all(laid is first and not leaf.absent for laid, leaf in found)
    return first.layer.ways.fold and first.stable is not None and alone and path not in parents(STABLE)


def _winning(path: str, found: _Found) -> _Found:
    """The leaves at and below ``path`` that count: a later set's file replaces an earlier set's folder, and the other
    way round."""
    files = [number for number, (_, leaf) in enumerate(found) if leaf.path == path]
    if not files:
        return found
    return found[files[-1] :] if files[-1] == len(found) - 1 else found[files[-1] + 1 :]
