"""The process that holds the Rego interpreter: ``python -I -m agent.system.rego_child``; ``system.rego`` starts it.

A line with the modules comes first, then a line for each input. Each answer is a line: ``{"value": …}``, or
``{"error": …}``, which is the last. Where the first line asks for no ``rules``, the answer outlines the modules.
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
from agent.system.rego_outline import REFUSED, outline, refusals

_PLACE = re.compile(r"--> (.+):(\d+):(\d+)$", re.MULTILINE)
_REASON = re.compile(r"^error: (.+)$", re.MULTILINE)
_SUSPECT = re.compile("|".join(rf"\b{variable}\b" for variable, _ in REFUSED))
"""A module without such a word refers to nothing that is refused: its syntax tree need not be read."""
_TREE_DEPTH = 10_000
"""Of JSON. A sum of 500 terms takes 1,500."""

Answer = dict[str, Any]


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
        import regorus  # code of others: root does not load it
    except ImportError as error:
        yield {"error": f"the Rego interpreter does not load here: {error}", "unloadable": True}
        return

    _close_all_ways(begin["memory"])
    _limit_cpu(begin["cpu_s"])
    engine = regorus.Engine()
    engine.set_gather_prints(True)  # print() of a rule is nobody's
    modules, rules = begin["modules"], begin.get("rules")
    try:
        for path, source in modules.items():
            engine.add_policy(path, source)
        if rules is None or any(map(_SUSPECT.search, modules.values())):
            sys.setrecursionlimit(_TREE_DEPTH)
            trees = json.loads(engine.get_ast_as_json())
            if refused := next((each for tree in trees for each in refusals(tree)), None):
                yield refused
                return
        if rules is None:
            yield {"value": [outline(tree) for tree in trees]}
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


def _close_all_ways(memory: int) -> None:
    """From here on no file can be opened, no socket made, nothing written but the answers.

    ``memory``: bytes of data, beside those held already."""
    _size, _resident, _shared, _text, _library, data, *_ = map(int, Path("/proc/self/statm").read_text().split())
    most = data * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))


def _limit_cpu(seconds: int) -> None:
    """``seconds`` from now on."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + seconds, resource.RLIM_INFINITY))


def _error(text: str) -> Answer:
    """What the interpreter says, in a line and with its place; the rest is a picture of that and a stack of its own."""
    reason, place = _REASON.search(text), _PLACE.search(text)
    message = reason[1] if reason else text.strip().partition("\n")[0]
    where = {"file": place[1], "line": int(place[2]), "column": int(place[3])} if place else {}
    return {"error": message, **where}


if __name__ == "__main__":
    sys.exit(main())
