"""Templates: the strings of an inventory rendered to values, over the variables of one host.

As in Ansible 2.19 a template with one output yields that object (``{{ ports }}`` a list), one without output yields
None, and every other one a text in which None is empty. A variable renders on demand, part by part, and once: the
output of a template is not a template again.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

from jinja2 import Template, TemplateError, TemplateSyntaxError, UndefinedError

from agent.domain.sealed import is_sealed
from agent.domain.text import printable
from agent.errors import InventoryError
from agent.inventory.complaint import ComplaintsError
from agent.inventory.template.bounds import budget
from agent.inventory.template.errors import said
from agent.inventory.template.lazy import LazyList, LazyMap, settled
from agent.inventory.template.not_here import NOT_HERE
from agent.inventory.template.sandbox import Sandbox, known
from agent.inventory.template.sealed import Sealed, as_text
from agent.inventory.template.undefined import absent
from agent.problems import ProblemKind
from agent.system.document import List, Map, Node, Position, Unsafe, Value

_OPTIONS = "#jinja2:"
_MARKS = re.compile(r"\{[{%#]")


class TemplateProblem(InventoryError):
    """A template that does not render. ``position``: where its text begins. ``undefined``: True when a name is
    undefined, so that a test or a default may replace it."""

    def __init__(self, problem: str, remedy: str, *, position: Position, undefined: bool = False) -> None:
        super().__init__(f"{position}: {problem}", hint=remedy, kind=ProblemKind.TEMPLATE)
        self.undefined = undefined
        self.problem = problem
        self.remedy = remedy
        self.position = position


class Renderer:
    """A renderer of templates in one sandbox, which compiles each text once."""

    def __init__(self) -> None:
        self._sandbox = Sandbox()

    def value(self, text: str, names: Mapping[str, object], position: Position) -> object:
        """The value of the template ``text``; its parts may be lazy. Raises TemplateProblem."""
        if not _MARKS.search(text):
            return text
        found = self._put_out(text, names, position, self._sandbox.compiled_value)
        if isinstance(found, Sealed):
            return Sealed(_last_newlines(text, f"{found}"))
        return _last_newlines(text, found) if isinstance(found, str) else found

    def text(self, text: str, names: Mapping[str, object], position: Position) -> str:
        """The template ``text`` rendered as text. Raises TemplateProblem."""
        try:
            found = self._put_out(text, names, position, self._sandbox.compiled)
            rendered = "" if found is None else str(as_text(found))
        except TemplateError as error:
            raise _problem(error, text, names, position) from error
        return _last_newlines(text, rendered)

    def _put_out(
        self, text: str, names: Mapping[str, object], position: Position, compiled: Callable[[str], Template]
    ) -> object:
        _require_no_token(text, position)
        if text.startswith(_OPTIONS):
            line = text.partition("\n")[0]
            problem = f"{printable(line, 60)} sets options of Ansible's templates, which are not read here"
            remedy = "remove the line; {%- strips the white space before a block, -%} what is behind it"
            raise TemplateProblem(
                problem, remedy, position=position if position.line else Position(position.file, 1, 1)
            )
        try:
            with budget:
                template = compiled(text)
                # A shared context keeps the mapping itself, so that only the variables that the template uses render.
                # Otherwise Jinja2 would copy it into a dict, and all would render.
                functions = names.functions if isinstance(names, HostValues) else {}
                scope: Any = ChainMap(cast("Any", names), functions, self._sandbox.globals, cast("Any", NOT_HERE))
                return self._sandbox.concat(template.root_render_func(template.new_context(scope, shared=True)))
        except TemplateProblem:
            raise
        except Exception as error:
            raise _problem(error, text, names, position) from error


@dataclass(slots=True, eq=False, repr=False)
class HostValues(Mapping[str, object]):
    """The variables of one host as templates see them: rendered on demand, part by part, each once. Magic names come
    first. ``functions``: those that templates of this host may call beside the sandbox's own."""

    nodes: Mapping[str, Node]
    _magic: Mapping[str, object]
    _renderer: Renderer
    functions: MutableMapping[str, Any] = field(default_factory=dict)
    _found: dict[str, object] = field(default_factory=dict)
    _rendering: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> object:
        if name in self._magic:
            return self._magic[name]
        if name not in self.nodes:
            return NOT_HERE[name]
        if name not in self._found:
            self._found[name] = self.part(self.nodes[name], name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        # Without ``hostvars``: as in Ansible, ``{{ hostvars['web1'] }}`` is a mapping that ends.
        return (name for name in {**self.nodes, **self._magic} if name != "hostvars")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._magic or name in self.nodes

    def settled(self, name: str) -> Value:
        """The value of ``name`` as plain data. Raises TemplateProblem; KeyError for an unknown name."""
        found = self[name]
        try:
            return settled(found)
        except TemplateError as error:
            raise _problem(error, "", self, self.nodes[name].position) from error

    def text(self, template: str, position: Position) -> str:
        """The text of ``template``. Raises TemplateProblem."""
        return self._renderer.text(template, self, position)

    def rendered(self, node: Node, problems: list[TemplateProblem]) -> Value:
        """``node`` with every string rendered; keys are not templates. Problems go to ``problems``, and None stands in
        place of a string with one."""
        try:
            return settled(self._rendered(node, problems), sealed=True)
        except TemplateError as error:
            problems.append(_problem(error, "", self, node.position))
        return None

    def _rendered(self, node: Node, problems: list[TemplateProblem]) -> Value:
        if isinstance(node, List):
            return [self._rendered(item, problems) for item in node.items]
        if isinstance(node, Map):
            return {key: self._rendered(value, problems) for key, value in node.values.items()}
        if not isinstance(node.value, str) or isinstance(node.value, Unsafe):
            return node.value
        try:
            return settled(self._renderer.value(node.value, self, node.position))
        except TemplateProblem as problem:
            problems.append(problem)
        except TemplateError as error:
            problems.append(_problem(error, node.value, self, node.position))
        return None

    def part(self, node: Node, label: str) -> object:
        """The value of ``node``; an ``Absent`` where it needs something that is undefined. Raises TemplateProblem."""
        if isinstance(node, Map):
            return LazyMap(node.values, lambda part, place: self.part(part, label + place))
        if isinstance(node, List):
            return LazyList(node.items, lambda part, place: self.part(part, label + place))
        if isinstance(node.value, Unsafe) and is_sealed(node.value):
            return Sealed(node.value)
        if not isinstance(node.value, str) or isinstance(node.value, Unsafe):
            return node.value
        if id(node) in self._rendering:
            labels = list(self._rendering.values())
            circle = " → ".join((*labels[list(self._rendering).index(id(node)) :], label))
            raise TemplateProblem(f"these variables need each other: {circle}", "break it", position=node.position)
        self._rendering[id(node)] = label
        try:
            return self._renderer.value(node.value, self, node.position)
        except TemplateProblem as problem:
            if problem.undefined:
                return absent(problem)
            raise
        finally:
            del self._rendering[id(node)]


@dataclass(slots=True, eq=False, repr=False)
class HostVars(Mapping[str, HostValues]):
    """``hostvars`` in templates: the values of every host, made on demand."""

    _hosts: tuple[str, ...]
    _values: Callable[[str], HostValues]
    asked: bool = False
    """True once a template has asked for a host's values."""

    def __getitem__(self, host: str) -> HostValues:
        self.asked = True
        try:
            return self._values(host)
        except ComplaintsError:
            raise
        except InventoryError:
            raise KeyError(host) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


def _require_no_token(text: str, position: Position) -> None:
    if is_sealed(text):
        problem = "the characters U+F8D0 and U+F8D1 stand for secrets inside of hostwright"
        raise TemplateProblem(problem, "leave them out", position=position)


def _last_newlines(text: str, rendered: str) -> str:
    """``rendered`` with as many final newlines as ``text``; Jinja2 drops one, Ansible puts it back."""
    wanted, found = _newlines_at_end(text), _newlines_at_end(rendered)
    return rendered + "".join(wanted[len(found) :])


def _newlines_at_end(text: str) -> list[str]:
    """The line ends behind the last character, in order. A regular expression for them would take time by the square
    of their number."""
    found: list[str] = []
    end = len(text)
    while text.endswith("\n", 0, end):
        found.append("\r\n" if text.endswith("\r\n", 0, end) else "\n")
        end -= len(found[-1])
    return found[::-1]


def _problem(error: Exception, text: str, names: Mapping[str, object], position: Position) -> TemplateProblem:
    found = said(error, text, names, known)
    problem = found.problem
    line = error.lineno if isinstance(error, TemplateSyntaxError) else _line(error.__traceback__)
    if position.line == 0:
        position = Position(position.file, line or 1, 1)
    elif "\n" in text.rstrip("\n") and line:
        problem = f"line {line} of the text: {problem}"
    return TemplateProblem(problem, found.remedy, position=position, undefined=isinstance(error, UndefinedError))


def _line(traceback: TracebackType | None) -> int | None:
    """The line of the template that raised; None where no template is in ``traceback``."""
    line = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
