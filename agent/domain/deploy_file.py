"""Facts about a pyinfra deploy file, read without running it."""

from __future__ import annotations

import ast

CALL_IT = "call it at the end of the file; pyinfra does not run what stands under `if __name__ == …` either"

_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NOTHING_DONE = (ast.Import, ast.ImportFrom, *_DEFINING, ast.Pass)


def uncalled(code: bytes, *, ran: bool) -> tuple[str, ...]:
    """The names of the functions and classes in a file that only defines them, and calls none, so that running it does
    nothing. Empty for any other file. A block under ``__name__ == "__main__"`` does not count: pyinfra does not run it.

    ``ran``: True if the file was run and had no operations; before that, an assignment may make one. Raises SyntaxError
    and ValueError for a file that is not Python.
    """
    body = ast.parse(code).body
    if not all(_idle(node, ran=ran) for node in body):
        return ()
    return tuple(node.name for node in body if isinstance(node, _DEFINING))


def imported(code: bytes) -> frozenset[str]:
    """The modules that a file imports, as paths, with the packages that hold them: ``a`` and ``a/b`` for ``a.b``. What
    it takes from a module may be a module too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(f"{node.module or ''}.{alias.name}".lstrip(".") for alias in node.names)
    parts = [name.split(".") for name in found]
    return frozenset("/".join(part[:count]) for part in parts for count in range(1, len(part) + 1))


def included(code: bytes) -> dict[str, int]:
    """The files that a file includes (``local.include``) by a path that is written out, each with its line."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and node.args)
    return {
        call.args[0].value: call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr) == ("local", "include")
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def relative_import(code: bytes) -> int:
    """The line of the first relative import, such as ``from .b import c``; 0 if there is none. A deploy file is run and
    not imported, so it is no part of a package. An import for type checkers alone does not count: it is not run."""
    tree = ast.parse(code)
    blocks = (node.body for node in ast.walk(tree) if isinstance(node, ast.If) and _for_type_checkers(node.test))
    never_run = {part for block in blocks for statement in block for part in ast.walk(statement)}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in never_run)
    return min((node.lineno for node in nodes if node.level), default=0)


def _for_type_checkers(condition: ast.expr) -> bool:
    return ast.unparse(condition) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _idle(node: ast.stmt, *, ran: bool) -> bool:
    if isinstance(node, ast.ClassDef):  # its body is run
        return all(_idle(each, ran=ran) for each in node.body)
    if isinstance(node, ast.Assign | ast.AnnAssign) and ran:
        return True
    if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign):
        return not any(isinstance(part, ast.Call | ast.Await) for part in ast.walk(node))
    if isinstance(node, ast.If):
        return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
    return isinstance(node, _NOTHING_DONE)
