"""Files of other tools for dotfiles, as signs that a set has another layout than the inventory says.

The layout is never guessed, but a set that plainly has another one would make a wrong home. Each tool is named once,
with the first file that shows it. Files that are named in ``ignore`` show nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from agent.deploys.dotfiles.contents import IGNORE
from agent.domain.fault import Fault

STOW_SETTINGS = ".stowrc"

_MOVE = f"move the files to where they lie in a home, or {IGNORE}"


@dataclass(frozen=True, slots=True)
class _Sign:
    """``pattern`` matches the whole path, in the set, of a file that shows ``tool``."""

    pattern: str
    tool: str
    remedy: str = _MOVE


# Other tools pass over folders that begin with a dot: a name in there, such as symlink_all.sh, means nothing to them.
_ATTRIBUTES = "create|empty|encrypted|exact|executable|literal|modify|private|readonly|remove|symlink"
_OF_CHEZMOI = _Sign(
    rf"(({_ATTRIBUTES})_)*dot_[^/]+(/.*)?|([^./][^/]*/)*(executable|encrypted)_[^/]+|\.chezmoi[^/]*(/.*)?",
    "chezmoi",
    f"say `layout: chezmoi`, or {IGNORE}",
)
_OF_STOW = _Sign(
    r"\.stowrc|(.*/)?\.stow-(local|global)-ignore|dot-[^/]+(/.*)?",
    "GNU Stow",
    f"say `layout: stow` (and `dot_prefix: true` for names with `dot-`), or {IGNORE}",
)
_IN_PACKAGES = replace(_OF_STOW, pattern=r"([^./][^/]*/)+dot-[^/]+(/.*)?")
"""A sign only of a set without dotfiles of its own: beside these, ``bin/dot-sync`` is a program of that name."""
_OF_OTHERS = (
    _Sign(r".*##.*", "yadm (alternates are chosen by `##`)"),
    _Sign(r"(install|dotbot)\.conf\.(ya?ml|json)|install\.conf", "dotbot (the links of its file are not made)"),
    _Sign(r"rcrc|(tag|host)-[^/]+/.+", "rcm (names without a dot, tags and hosts)"),
    _Sign(r"([^./][^/]*/)*[^./][^/]*\.symlink(/.*)?", "topic folders (`*.symlink` becomes a link with a dot)"),
    _Sign(r"home/\..+", "homesick", f"name the folder: `//home` behind the repository, or a set of that; or {IGNORE}"),
    _Sign(r"\.dotter/.+", "dotter (the links of its files are not made)"),
    _Sign(r"dotdrop\.(sh|toml|ya?ml)", "dotdrop (the links of its file are not made)"),
    _Sign(r"bombadil\.toml", "bombadil (the links of its file are not made)"),
    _Sign(r"home\.nix", "home-manager (what its file says is not made)"),
    _Sign(r"objects/(pack|info|[0-9a-f]{2})/.+|refs/(heads|tags)/.+", "a bare repository of Git"),
    _Sign(
        r"(bash(rc|_profile|_aliases|_logout)|z(shrc|shenv|profile|login)|g?vimrc|tmux\.conf|git(config|ignore_global)"
        r"|inputrc|screenrc|xinitrc|Xresources)",
        "names without a dot, which an install script adds",
    ),
)
_SIGNS: Mapping[str, tuple[_Sign, ...]] = {
    "plain": (_OF_CHEZMOI, _OF_STOW, *_OF_OTHERS),
    "stow": (_OF_CHEZMOI, *_OF_OTHERS),
    "chezmoi": (),  # its names are all spoken for
}

_NOT_A_DOTFILE = re.compile(r"[^/]+/\.(git[^/]*|keep|placeholder|DS_Store|editorconfig)(/.*)?")
_PACKAGED = re.compile(r"(?P<package>[^./][^/]*)/\.[^/]+.*")
_OF_A_HOME = re.compile(r"\.(?!git(ignore|attributes|modules|hub/|lab-ci\.yml)|editorconfig|travis|pre-commit).+")


def signs(name: str, paths: Iterable[str], layout: str) -> Iterator[Fault]:
    """The faults of the set ``name`` with files at these paths: signs of another layout than ``layout``."""
    known = sorted(paths)
    found = False
    own = any(_OF_A_HOME.fullmatch(path) for path in known)
    more = (_IN_PACKAGES,) if layout == "plain" and not own else ()
    for sign in (*_SIGNS[layout], *more):
        pattern = re.compile(sign.pattern)
        if first := next((path for path in known if pattern.fullmatch(path)), None):
            found = True
            problem = f"{name}/{first} is of a layout that is not `{layout}`: it looks like {sign.tool}"
            yield Fault(problem, sign.remedy)
    if layout == "plain" and not found and not own:
        yield from _packages(name, known)


def _packages(name: str, paths: list[str]) -> Iterator[Fault]:
    """The fault of a set that has dotfiles in several folders, and none beside these: GNU Stow calls such folders
    packages."""
    matches = (_PACKAGED.fullmatch(path) for path in paths if not _NOT_A_DOTFILE.fullmatch(path))
    packages = list(dict.fromkeys(found["package"] for found in matches if found))
    if len(packages) > 1:
        yield Fault(
            f"{name}/ has its dotfiles in folders of their own and would make ~/{packages[0]}/: it looks like packages"
            " of GNU Stow",
            f"say `layout: stow` and `sets: [{', '.join(packages[:5])}]`",
        )


def stow_settings(name: str, text: str, *, dots: bool) -> Iterator[Fault]:
    """Faults for options of a ``.stowrc`` beside the packages that Hostwright does not follow."""
    for option, target in re.findall(r"(?m)(?:^|\s)(-t|--target|--dotfiles)(?:(?:=|\s+)(\S+))?", text):
        if option == "--dotfiles":
            if not dots:
                yield Fault(f"{name} says --dotfiles", "say `dot_prefix: true`")
        elif target.strip("\"'").rstrip("/") not in ("~", "$HOME", "${HOME}", ".."):
            problem = f"{name} says that {target} is the target, and not the home"
            yield Fault(problem, "use `files` for what lies elsewhere")
