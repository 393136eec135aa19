"""The check that deploys of other repositories can run on a host, made without running them.

Nobody installs packages for a deploy. It runs with Python's library, with pyinfra and its dependencies, and with the
modules of its own repository. So a requirement is met by what pyinfra brings, or not at all. Imports are followed
through those modules. An import that may fail (in a ``try`` that catches it, below ``if TYPE_CHECKING``) needs no
package.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from agent.domain.address import Address
from agent.domain.stand_in import stand_in
from agent.domain.text import printable
from agent.domain.tree import Tree, leads_out
from agent.errors import InventoryError
from agent.problems import ProblemKind

_PROVIDED = frozenset({"pyinfra", "__future__"}) | sys.stdlib_module_names
_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_FILE, _PROJECT = "requirements.txt", "pyproject.toml"
_ANOTHER = re.compile(r"(?:-r|--requirement|-c|--constraint)[ =]\s*(?P<path>.+)")
_DEEPEST = 10


def require_runnable(address: Address, tree: Tree) -> None:
    """Raise InventoryError if the deploy file of ``address`` is missing in ``tree``, is not Python, or needs packages
    of its own (kind ``needs-packages``), or if a link of ``tree`` leads out of it."""
    entry = tree.entry(address.path)
    if entry is None or entry.link:
        what = "no file" if entry is None else "a symbolic link, which is not followed,"
        raise InventoryError(f"{address.pinned} has {what} {address.path}", hint="name a file of that commit")
    for path in (entry.path for entry in tree.entries() if entry.link):
        if leads_out(path, target := tree.read(path).decode(errors="surrogateescape")):
            raise InventoryError(
                f"{address.pinned}: the link {printable(path)} leads out of that repository, to {printable(target)}",
                hint="code that runs there would follow it; take a repository without such links for deploys",
            )
    code = tree.read(address.path)
    if found := stand_in(code):
        raise InventoryError(f"{address} {found.what}", hint=found.remedy)
    try:
        compile(code, address.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = f"not Python: {error}" if isinstance(error, ValueError | SyntaxError) else "nested too deep to be read"
        raise InventoryError(f"{address} is {why}", hint="correct it there, and pin it anew") from error
    reasons = (*_unmet_requirements(tree), *_Modules(tree).elsewhere(address.path))
    if reasons:
        raise InventoryError(
            f"{address} needs Python packages of its own: {'; '.join(reasons)}",
            kind=ProblemKind.NEEDS_PACKAGES,
            hint="deploys run with Python's library, pyinfra and what lies in their repository; nothing is installed",
        )


class _Modules:
    """The Python modules of one repository."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._paths = {entry.path for entry in tree.entries() if entry.path.endswith(".py") and not entry.link}
        self._own = {path.split("/")[0].removesuffix(".py") for path in self._paths}

    def elsewhere(self, path: str) -> Iterator[str]:
        """One line for each module from elsewhere that ``path`` or its imports need."""
        pending, seen, named = [path], {path}, set[str]()
        while pending:
            path = pending.pop(0)
            for line, module, optional in self._imports(path):
                top = module.split(".")[0]
                if top in self._own:
                    inner = [found for found in self._files(module) if found not in seen]
                    seen.update(inner)
                    pending += inner
                elif top not in named and not optional and top not in _PROVIDED and top not in _modules_there():
                    named.add(top)
                    yield f"{path}:{line} imports {top}"

    def _imports(self, path: str) -> Iterator[tuple[int, str, bool]]:
        """The imports of the file: line, absolute name of the module, and True if the import may fail."""
        try:
            body = ast.parse(self._tree.read(path)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError, KeyError):
            return
        pending: list[tuple[ast.AST, bool]] = [(node, False) for node in body]
        while pending:
            node, optional = pending.pop()
            if isinstance(node, ast.Import):
                yield from ((node.lineno, name.name, optional) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(path, node)
                yield from ((node.lineno, name, optional) for name in (base, *_below(base, node)) if name)
            else:
                guarded = optional or _guards(node)
                body_of = getattr(node, "body", None)
                guarded_nodes = set(map(id, body_of)) if isinstance(body_of, list) else set[int]()
                pending += [
                    (inner, guarded if id(inner) in guarded_nodes else optional) for inner in ast.iter_child_nodes(node)
                ]

    def _files(self, module: str) -> Iterator[str]:
        """The files that importing ``module`` runs, packages first."""
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            yield from (path for path in (f"{above}/__init__.py", f"{above}.py") if path in self._paths)


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.split("/")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join((*package, *filter(None, [node.module])))


def _below(base: str, node: ast.ImportFrom) -> Iterator[str]:
    """The modules that ``from a import b`` may mean: ``a.b``."""
    return (f"{base}.{name.name}" for name in node.names if base and name.name != "*")


def _guards(node: ast.AST) -> bool:
    """True if an import in the body of ``node`` may fail."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if not isinstance(node, ast.Try):
        return False
    caught = (ast.unparse(handler.type) if handler.type else "Exception" for handler in node.handlers)
    return any(name in _CAUGHT for names in caught for name in re.findall(r"\w+", names))


def _unmet_requirements(tree: Tree) -> Iterator[str]:
    """One line for each requirement at the top of a repository (requirements.txt, pyproject.toml) that is not met here.
    An exact version stands for its major version: `pip freeze` writes what somebody had, not what the deploy needs."""
    for path, line in (*_required_lines(tree, _FILE, 0), *_of_project(tree)):
        if (why := _unmet(line)) is not None:
            yield f"{path} asks for {line}{why}"


@cache
def there() -> dict[str, str]:
    """pyinfra and its dependencies as installed here: normal name to version."""
    found: dict[str, str] = {}
    pending = ["pyinfra"]
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra, or for another platform
        found[name] = distribution.version
        needed = (Requirement(line) for line in distribution.requires or ())
        pending += [each.name for each in needed if _applies(each.marker)]
    return found


@cache
def _modules_there() -> frozenset[str]:
    """The top-level modules of pyinfra and its dependencies."""
    held = there()
    owners = importlib.metadata.packages_distributions()
    return frozenset(module for module, names in owners.items() if held.keys() & map(canonicalize_name, names))


def _unmet(line: str) -> str | None:
    """Words to go behind an unmet requirement: the version installed here, or empty. None where it is met."""
    try:
        asked = Requirement(re.split(r"\s--hash[= ]", line)[0].strip())
    except InvalidRequirement:
        return ""
    if not _applies(asked.marker):
        return None
    version = there().get(canonicalize_name(asked.name))
    if version is None or asked.url is not None:
        return ""
    exact = [each.version for each in asked.specifier if each.operator == "==" and "*" not in each.version]
    if exact and all(Version(each).major == Version(version).major for each in exact):
        return None
    return None if asked.specifier.contains(version, prereleases=True) else f" and {version} is here"


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate({"extra": ""})


def _required_lines(tree: Tree, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Requirements, each with its file; files named by ``-r`` and ``-c`` are included. Options about where pip installs
    from are skipped, because nothing is installed."""
    text = _text(tree, path)
    if text is None or depth > _DEEPEST:
        return
    for raw in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if another := _ANOTHER.fullmatch(line):
            inner = f"{PurePosixPath(path).parent / another['path'].strip()}"
            if _text(tree, inner) is None:
                yield path, line
            yield from _required_lines(tree, inner, depth + 1)
        elif line and (not line.startswith("-") or line.startswith(("-e", "--editable"))):
            yield path, line


def _of_project(tree: Tree) -> Iterator[tuple[str, str]]:
    try:
        project = tomllib.loads(_text(tree, _PROJECT) or "").get("project", {})
    except (ValueError, RecursionError):
        return
    dependencies = project.get("dependencies", []) if isinstance(project, dict) else []
    yield from ((_PROJECT, f"{line}") for line in (dependencies if isinstance(dependencies, list) else []))


def _text(tree: Tree, path: str) -> str | None:
    try:
        return tree.read(path).decode("utf-8-sig", errors="replace")
    except KeyError:
        return None
