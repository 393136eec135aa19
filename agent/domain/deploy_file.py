"""Facts about a pyinfra deploy file, read without running it."""

from __future__ import annotations

import ast

CALL_IT = "call it at the end of the file; pyinfra does not run what stands under `if __name__ == …` either"

_NOTHING_DONE = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)


def uncalled(code: bytes, *, ran: bool) -> tuple[str, ...]:
    """The names of the functions in a file that only defines them, and calls none, so that running it does nothing.
    Empty for any other file. A block under ``__name__ == "__main__"`` does not count: pyinfra does not run it.

    ``ran``: True if the file was run and had no operations; before that, an assignment may make one. Raises SyntaxError
    and ValueError for a file that is not Python.
    """
    body = ast.parse(code).body
    if not all(_idle(node, ran=ran) for node in body):
        return ()
    return tuple(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(code: bytes) -> frozenset[str]:
    """The top-level modules that a file imports."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return frozenset(name.partition(".")[0] for name in names)


def _idle(node: ast.stmt, *, ran: bool) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign) and ran:
        return True
    if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign):
        return not any(isinstance(part, ast.Call | ast.Await) for part in ast.walk(node))
    if isinstance(node, ast.If):
        return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
    return isinstance(node, _NOTHING_DONE)
