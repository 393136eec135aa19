"""The process that holds the Rego interpreter: ``python -I -m agent.system.rego_child``; ``system.rego`` starts it.

It reads a line with the modules, then a line for each input. It writes a line for each answer: ``{"value": …}``, or
``{"error": …}``, also with the place and the remedy if they are known, after which it ends. If the first line has no
``rules``, the one answer is the outlines of the modules.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from agent.system.confinement import give_up_rights

_PLACE = re.compile(r"--> (.+):(\d+):(\d+)$", re.MULTILINE)
_REASON = re.compile(r"^error: (.+)$", re.MULTILINE)
_REFUSED: dict[tuple[str, ...], str] = {
    ("http", "send"): "there is no http.send: policies have no network",
    ("opa", "runtime"): "there is no opa.runtime: policies see no environment",
}
"""Functions that the engine has, but of no use here: a rule that calls one would never hold, without an error."""
_SUSPECT = re.compile("|".join(rf"\b{variable}\b" for variable, _ in _REFUSED))
"""The first names of refused functions. The syntax tree of a module without such a word need not be read."""
_TREE_DEPTH = 10_000
"""Levels of JSON. A sum of 500 terms takes 1,500."""

Answer = dict[str, Any]
SyntaxNode = dict[str, Any]


def main() -> int:
    if os.getuid() == 0:
        give_up_rights()
    answers = os.fdopen(os.dup(1), "w")
    for answer in _answers(json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer):
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()
        if "error" in answer:
            return 1
    return 0


def _answers(begin: Answer, inputs: Iterable[bytes]) -> Iterator[Answer]:
    try:
        import regorus  # root has given up its rights before this code of others is loaded
    except ImportError as error:
        yield {"error": f"the Rego interpreter does not load here: {error}", "unloadable": True}
        return

    _close_all_ways(begin["memory"])
    _limit_cpu(begin["cpu_s"])
    engine = regorus.Engine()
    engine.set_gather_prints(True)  # a rule's print() must not reach stderr
    modules, rules = begin["modules"], begin.get("rules")
    try:
        for path, source in modules.items():
            engine.add_policy(path, source)
        if rules is None or any(map(_SUSPECT.search, modules.values())):
            sys.setrecursionlimit(_TREE_DEPTH)
            trees = json.loads(engine.get_ast_as_json())
            if refused := next((each for tree in trees for each in _refusals(tree)), None):
                yield refused
                return
        if rules is None:
            yield {"value": [_outline(tree) for tree in trees]}
            return
        told = re.compile(rules)
        for line in inputs:
            _limit_cpu(begin["cpu_s"])
            engine.set_input_json(line.decode())
            found = json.loads(engine.eval_query_as_json(f"data.{begin['package']}")).get("result") or []
            values = found[0]["expressions"][0]["value"] if found else {}
            engine.take_prints()
            yield {"value": {name: value for name, value in values.items() if told.fullmatch(name)}}
    except RuntimeError as error:
        yield _error(f"{error}")


def _outline(module: SyntaxNode) -> dict[str, Any]:
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


def _refusals(module: SyntaxNode) -> Iterator[Answer]:
    """The errors of a module that refers to a function in ``_REFUSED``."""
    for names, span in _references(module["ast"]["rules"]):
        if reason := _REFUSED.get(names[:2]):
            place = {"file": module["source"]["file"], "line": span["line"], "column": span["col"]}
            yield {"error": reason, "remedy": "leave the call out: a rule judges what is in `input`", **place}


def _references(tree: Any) -> Iterator[tuple[tuple[str, ...], SyntaxNode]]:
    """The references of a syntax tree: the names from the variable on, up to the first that is computed, and the place
    of the variable. A search of the text would take strings and comments for code, and miss ``http["send"]``."""
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


def _close_all_ways(memory: int) -> None:
    """Forbid to open files, to make sockets, and to write anything but the answers, for good. ``memory``: bytes of data
    that the process may hold beside those that it holds already."""
    _size, _resident, _shared, _text, _library, data, *_ = map(int, Path("/proc/self/statm").read_text().split())
    most = data * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))


def _limit_cpu(seconds: int) -> None:
    """Limit the CPU time of the process to ``seconds`` from now on."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + seconds, resource.RLIM_INFINITY))


def _error(text: str) -> Answer:
    """The interpreter's error as one line with its place, without the picture of the place and its own stack."""
    reason, place = _REASON.search(text), _PLACE.search(text)
    message = reason[1] if reason else text.strip().partition("\n")[0]
    where = {"file": place[1], "line": int(place[2]), "column": int(place[3])} if place else {}
    return {"error": message, **where}


if __name__ == "__main__":
    sys.exit(main())
