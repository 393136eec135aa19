"""The policies of a commit: the verdicts of their rules on hosts, and the faults of the rules themselves.

policies/**/*.rego ─Policies→ ┐
             PolicyInput ──→ ┴→ PolicyVerdict
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.domain import codec
from agent.domain.fault import Mistake
from agent.domain.policy import FOLDER, JUDGING, PolicyInput, PolicyVerdict, verdict_of
from agent.domain.text import not_utf8
from agent.domain.tree import Tree
from agent.system.rego import RUNS_ON, SET_IT, UNSET, ModuleOutline, RegoError, asking_unset, evaluate, outlines

PACKAGE = "main"
TESTS = "_test.rego"
NO_INTERPRETER = (
    f"the rules in {FOLDER}/ cannot be asked: the Rego interpreter is not installed",
    f"`pipx install './hostwright[policy]'` beside the clone; on a host run bootstrap.sh again; {RUNS_ON}",
)
"""Problem and remedy where rules cannot be asked. Everything is denied then."""

_TEST = re.compile(r"(?m)^(test_\w+)")


@dataclass(frozen=True, slots=True)
class Policies:
    """The rules of one commit: the sources of the ``modules``, and of their ``tests``, by path."""

    modules: Mapping[str, str]
    tests: Mapping[str, str]

    def judge(self, inputs: Iterable[PolicyInput]) -> Iterator[PolicyVerdict]:
        """The verdict on each input, in order. Raises RegoError."""
        plain = (codec.to_plain(each) for each in inputs)
        for rules in evaluate(self.modules, PACKAGE, JUDGING, plain):
            try:
                yield verdict_of(rules)
            except Mistake as error:
                [fault] = error.faults
                raise RegoError(fault.problem, fault.remedy, *self._place(fault.problem)) from None

    def faults(self) -> Iterator[RegoError]:
        """The faults of the rules: tests that fail, rules that judge no host. Raises RegoError where they cannot
        run."""
        modules = {**self.modules, **self.tests}
        outlined = outlines(modules)
        yield from self._judging_nobody(outlined)
        try:
            [found] = evaluate(modules, PACKAGE, f"{JUDGING}|test_.*", [{}])
        except RegoError as error:
            places = list(asking_unset(modules, outlined)) if error.message == UNSET and not error.file else []
            yield from (RegoError(UNSET, SET_IT, path) for path in places)
            if places:
                return
            raise
        for path, source in self.tests.items():
            for test in _TEST.finditer(source):
                if found.get(test[1]) is not True:
                    line = source.count("\n", 0, test.start()) + 1
                    remedy = "correct the test, or the rule that it is about"
                    yield RegoError(f"the test {test[1]} does not hold", remedy, path, line, 1)
        if not any(re.fullmatch(JUDGING, rule) for rule in found):
            problem = f"no rule deny, violation or warn is in the package {PACKAGE}, so nothing is judged"
            yield RegoError(problem, "write `deny contains msg if { … }` there, or remove the rules", min(modules))

    def _judging_nobody(self, found: Sequence[ModuleOutline]) -> Iterator[RegoError]:
        """The rules that judge no host: those in files of tests, and those in packages that the package main does not
        use, directly or by way of others."""
        asked: set[tuple[str, ...]] = set()
        more: set[tuple[str, ...]] = {(PACKAGE,)}
        while more:
            asked |= more
            uses = [use for each in found if tuple(each.package) in asked for use in each.uses]
            more = {tuple(each.package) for each in found if any(_is_part(use, each.package) for use in uses)} - asked
        for each in found:
            if each.file in self.tests:
                for rule, line in each.rules:
                    if tuple(each.package) == (PACKAGE,) and re.fullmatch(JUDGING, rule):
                        problem = f"{rule} judges nobody here: hosts do not read *{TESTS}"
                        yield RegoError(problem, "move it to a file with another name", each.file, line, 1)
            elif tuple(each.package) not in asked:
                name = ".".join(each.package)
                remedy = f"rules that judge are in the package {PACKAGE}, and import others: write `package {PACKAGE}`?"
                yield RegoError(f"nobody asks the package {name}", remedy, each.file, each.line, 1)

    def _place(self, message: str) -> tuple[str, int, int]:
        """The path, line and column of the rule that ``message`` names; an empty path and zeros without one."""
        for path, source in self.modules.items():
            for rule in re.finditer(rf"(?m)^{JUDGING}\b", source):
                if rule[0] in message.split():
                    return path, source.count("\n", 0, rule.start()) + 1, 1
        return "", 0, 0


def _is_part(one: Sequence[str], other: Sequence[str]) -> bool:
    """True if one of two paths begins with the other."""
    return all(mine == its for mine, its in zip(one, other, strict=False))


def policies_of(tree: Tree) -> Policies:
    """The rules in ``tree``. Raises RegoError for a file that is not UTF-8 text."""
    sources: dict[str, str] = {}
    for path in tree.paths(FOLDER):
        if path.endswith(".rego"):
            content = tree.read(path)
            try:
                sources[path] = content.decode()
            except UnicodeDecodeError as error:
                line = content.count(b"\n", 0, error.start) + 1
                column = error.start - content.rfind(b"\n", 0, error.start)
                raise RegoError(*not_utf8(content), path, line, column) from None
    tests = {path: source for path, source in sources.items() if path.endswith(TESTS)}
    return Policies({path: source for path, source in sources.items() if path not in tests}, tests)
