"""Complaints about deploy files of the config repo that are not Python or do nothing, found without running them."""

from __future__ import annotations

from collections.abc import Iterable

from agent.domain.deploy_file import CALL_IT, imported, included, relative_import, uncalled
from agent.domain.merge_conflict import MERGE_CONFLICT, conflict_line
from agent.domain.stand_in import stand_in
from agent.domain.text import not_utf8
from agent.domain.tree import Tree, followed
from agent.inventory.complaint import Complaints
from agent.inventory.site import Play
from agent.system.document import Position

_MODULE = (".py", "/__init__.py")


def require_python(tree: Tree, plays: Iterable[Play], complaints: Complaints) -> None:
    """Complain of each deploy file named in a play that is not Python or calls nothing, and of each module of the
    repository that it imports and that is not Python."""
    named: dict[str, Position] = {}
    for mention in (mention for play in plays for mention in play.mentions):
        own = mention.source if mention.repository is None else None
        for source in filter(None, (own, mention.on_remove)):
            named.setdefault(source, mention.position)
    modules: dict[str, Position] = {}
    for source, position in named.items():
        _compile(tree, source, position, complaints)
        modules |= dict.fromkeys(_own_modules(tree, source, complaints), position)
        modules |= {path: Position(path, 1, 1) for folder in ("", _folder(source)) for path in _data(tree, folder)}
    for module in modules.keys() - named.keys():
        _compile(tree, module, modules[module], complaints, runs=False)


def _folder(source: str) -> str:
    """The folder of a deploy file, with a slash at its end."""
    return source[: source.rfind("/") + 1]


def _data(tree: Tree, folder: str) -> Iterable[str]:
    """The files from which pyinfra takes data of groups, at the top or beside a deploy file."""
    above = f"{folder}group_data/"
    return (path for path in tree.paths(above) if path.endswith(".py") and "/" not in path.removeprefix(above))


def _own_modules(tree: Tree, source: str, complaints: Complaints) -> frozenset[str]:
    """The files of the repository that a deploy file imports or includes, or that these do. They lie beside the deploy
    file or are named from the top. Complain of an included file that is not there."""
    found: set[str] = set()
    waiting = [source]
    while waiting:
        file = waiting.pop()
        try:
            code = tree.read(file)
            names, files = imported(code), included(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        above = (_folder(source), "")
        places = {f"{folder}{name}{end}" for folder in above for name in names for end in _MODULE}
        for path, line in files.items():
            led = {folder: followed(tree, f"{folder}{path}") for folder in above}  # by links and `./`
            either = {place for place in led.values() if place is not None and tree.entry(place) is not None}
            if not either and None not in led.values() and not path.startswith("/") and ".." not in path:
                problem = f"there is no file {path} in the config repo, which this includes"
                complaints.add(Position(file, line, 1), (), problem, "write its path from the top of the config repo")
            places |= either
        new = {place for place in places - found if (entry := tree.entry(place)) and not entry.link}
        found |= new
        waiting += new
    return frozenset(found)


def _compile(tree: Tree, source: str, mentioned: Position, complaints: Complaints, *, runs: bool = True) -> None:
    """Complain if the file ``source`` is not Python or calls nothing. ``mentioned``: the place of a complaint without a
    line. ``runs``: False for a module, which need not call anything."""
    code = tree.read(source)
    try:
        if found := stand_in(code):
            complaints.add(mentioned, (), f"{source} {found.what}", found.remedy)
            return
        compile(code, source, "exec", dont_inherit=True)
        if runs and (relative := relative_import(code)):
            problem = "a relative import, and a deploy file is no part of a package"
            complaints.add(Position(source, relative, 1), (), problem, "write `import name` for a module beside it")
        above = ("", _folder(source))
        own = (f"{folder}{name}{end}" for folder in above for name in imported(code) for end in ("", ".py") if name)
        if runs and (functions := uncalled(code, ran=False)) and not any(tree.paths(place) for place in own):
            problem = f"{source} defines {', '.join(functions)} and calls nothing: nothing would be done"
            complaints.add(mentioned, (), problem, CALL_IT)
    except SyntaxError as error:
        if line := conflict_line(code.decode(errors="replace")):
            complaints.add(Position(source, line, 1), (), *MERGE_CONFLICT)
            return
        position = Position(source, max(error.lineno or 1, 1), max(error.offset or 1, 1))
        if "utf-8" in error.msg:
            complaints.add(position, (), *not_utf8(code))
            return
        complaints.add(position, (), f"not Python: {error.msg}", "correct it, and try `python3 -m py_compile`")
    except (RecursionError, MemoryError):
        complaints.add(mentioned, (), f"{source} is nested too deep to be read", "write it flatter")
    except ValueError as error:
        complaints.add(mentioned, (), f"{source} is not Python: {error}", "write a deploy file of pyinfra")
