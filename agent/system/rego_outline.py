"""The outline of a module of Rego, and its refused functions, by the syntax tree of regorus. Pure.

A search of the text would take strings and comments for code, and miss ``http["send"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
Reference = tuple[tuple[str, ...], Node]
"""The names of a reference from its variable on, up to the first that is computed; and the place of the variable."""

REFUSED: dict[tuple[str, ...], str] = {
    ("http", "send"): "there is no http.send: policies have no network",
    ("opa", "runtime"): "there is no opa.runtime: policies see no environment",
}
"""Functions that the engine has, but of no use here: a rule that calls one would never hold, without an error."""


def outline(module: Node) -> Node:
    """The fields of the module's ``ModuleOutline``."""
    tree = module["ast"]
    heads = [next(iter(rule["Spec"]["head"].values())) if "Spec" in rule else rule["Default"] for rule in tree["rules"]]
    return {
        "file": module["source"]["file"],
        "package": next(_references(tree["package"]["refr"]))[0],
        "line": tree["package"]["span"]["line"],
        "rules": [(next(_references(head["refr"]))[0][0], head["span"]["line"]) for head in heads],
        "uses": [names[1:] for names, _ in _references([tree["imports"], tree["rules"]]) if names[0] == "data"],
    }


def refusals(module: Node) -> Iterator[Node]:
    """The errors of a module that refers to a function in ``REFUSED``."""
    for names, span in _references(module["ast"]["rules"]):
        if reason := REFUSED.get(names[:2]):
            yield {"error": reason, "file": module["source"]["file"], "line": span["line"], "column": span["col"]}


def _references(tree: Any) -> Iterator[Reference]:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += reversed(node)
        elif isinstance(node, dict):
            names: list[str] = []
            while kind := next((kind for kind in ("RefDot", "RefBrack") if kind in node), None):
                reference = node[kind]
                if kind == "RefDot":
                    names.append(reference["field"][1])
                else:
                    [(written, index)] = reference["index"].items()
                    if written in ("String", "RawString"):
                        names.append(index["value"])
                    else:
                        names.clear()
                        left.append(reference["index"])
                node = reference["refr"]
            if "Var" in node:
                yield (node["Var"]["value"], *reversed(names)), node["Var"]["span"]
            else:
                left += reversed(node.values())
