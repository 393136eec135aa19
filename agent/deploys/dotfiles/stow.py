"""Layout stow: a set is a package of GNU Stow 2.3.

The files that a package leaves out, by its ``.stow-local-ignore`` or else by Stow's own list, and names with ``dot-``
are as in Stow's manual, chapters "Ignore Lists" and "Invoking Stow". ``~/.stow-global-ignore`` is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.deploys.dotfiles.contents import Contents, SetFiles
from agent.domain.fault import Mistake, compiled

IGNORE_FILE = ".stow-local-ignore"
DOT = "dot-"

_BUILT_IN = r"""
RCS
.+,v
CVS
\.\#.+
\.cvsignore
\.svn
_darcs
\.hg
\.git
\.gitignore
.+~
\#.*\#
^/README.*
^/LICENSE.*
^/COPYING
"""

_PATTERN_LIMIT = 200
"""The most characters of one pattern."""
_REPEATS_LIMIT = 3
"""The most repetitions in one pattern; none may repeat a group. With more, a pattern can take longer than anybody would
wait (Python's expressions backtrack), and a package may be a stranger's."""
_REPEAT = re.compile(r"(?:^|[^\\])(?:\\\\)*(?P<repeat>[*+{])")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")

Ignores = Callable[[str], bool]
"""A function that is true for a path in a package, of a file or a folder, that is left out."""


def read(files: SetFiles, *, dots: bool) -> Contents:
    """The contents of a package. ``dots``: as with ``stow --dotfiles``. Raises InventoryError for an ignore list that
    cannot be read."""
    ignores = _ignores(files)
    leaves = []
    for path in files.entries:
        parts = path.split("/")
        home = [_dotted(part) if dots else part for part in parts]
        paths = ("/".join([*home[:depth], part]) for depth, part in enumerate(parts))
        ignored = next((depth for depth, above in enumerate(paths, start=1) if ignores(above)), 0)
        leaves.append(files.leaf(path, "/".join(home), ignored))
    return Contents(tuple(leaves))


def _dotted(name: str) -> str:
    return f".{name.removeprefix(DOT)}" if name.startswith(DOT) and name not in (DOT, f"{DOT}.") else name


def _ignores(files: SetFiles) -> Ignores:
    """The function for the package's ignore list, or Stow's own. A pattern without ``/`` is for the last part of a
    path, any other for all of it, with a ``/`` before it."""
    own = IGNORE_FILE in files.entries
    origin = f"{files.name}/{IGNORE_FILE}"
    names, paths = [], [re.compile(rf"^/{re.escape(IGNORE_FILE)}$")]
    for number, line in enumerate((files.text(files.entries[IGNORE_FILE]) if own else _BUILT_IN).splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        pattern = re.sub(r"\s+#.+", "", text, count=1).replace(r"\#", "#")
        if "/" in pattern:
            paths.append(_compiled(rf"(^|/)({pattern})(/|$)", pattern, f"{origin}:{number}"))
        else:
            names.append(_compiled(rf"^({pattern})$", pattern, f"{origin}:{number}"))

    def ignores(path: str) -> bool:
        name = path.rpartition("/")[2]
        return any(one.search(f"/{path}") for one in paths) or any(one.search(name) for one in names)

    return ignores


def _compiled(whole: str, pattern: str, origin: str) -> re.Pattern[str]:
    repeats = len(_REPEAT.findall(pattern))
    if len(pattern) > _PATTERN_LIMIT or repeats > _REPEATS_LIMIT or _REPEATED_GROUP.search(pattern):
        raise Mistake(
            f"{origin}: the pattern {pattern[:_PATTERN_LIMIT]!r} may take too long",
            f"at most {_REPEATS_LIMIT} repetitions (* + {{}}), none of a group, and {_PATTERN_LIMIT} characters",
        )
    return compiled(whole, f"{origin}: {pattern!r} is no regular expression")
