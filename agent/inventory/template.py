"""Templates: turns the strings of an inventory into values, over the variables of one host.

A string that is exactly one ``{{ expression }}`` yields the expression's object, every other string a string. A
variable renders when something first asks for it, with all that it holds, and never twice: what a template puts out
is not a template again.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.runtime import Context

from agent.errors import InventoryError
from agent.inventory.complaint import nearest
from agent.inventory.sandbox import TEXT_LIMIT, Sandbox
from agent.system.yaml import Key, List, Map, Node, Position, Unsafe, Value

VALUE_LIMIT = 100_000
"""Parts of one rendered value; variables that repeat each other grow fast."""

DEPTH_LIMIT = 100
"""Collections inside each other in a rendered value."""

_MARKS = re.compile(r"\{[{%#]")
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
_RESULT = "result"


class TemplateProblem(InventoryError):
    """A template that does not render. ``position`` is where its text begins."""

    def __init__(self, problem: str, remedy: str = "", *, position: Position) -> None:
        super().__init__(f"{position}: {problem}", hint=remedy, kind="template")
        self.problem = problem
        self.remedy = remedy
        self.position = position


class Renderer:
    """Compiles each text once, however many hosts render it."""

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._expressions: dict[str, Template | None] = {}
        self._texts: dict[str, Template] = {}

    def value(self, text: str, names: Mapping[str, object], position: Position) -> Value:
        """What the template string ``text`` stands for. Raises TemplateProblem."""
        if not _MARKS.search(text):
            return text
        try:
            with self._sandbox.budget:
                expression = self._expression(text)
                if expression is None:
                    return self._rendered(text, names)
                return _Settled().value(self._evaluated(expression, names))
        except TemplateProblem:
            raise
        except Exception as error:
            raise _problem(error, text, names, position) from error

    def text(self, text: str, names: Mapping[str, object], position: Position) -> str:
        """``text`` rendered, whatever it is made of. Raises TemplateProblem."""
        try:
            with self._sandbox.budget:
                return self._rendered(text, names)
        except TemplateProblem:
            raise
        except Exception as error:
            raise _problem(error, text, names, position) from error

    def _expression(self, text: str) -> Template | None:
        """The template that stores the object of ``text`` if that is exactly one expression."""
        if text not in self._expressions:
            tree = self._sandbox.parse(text)
            match tree.body:
                case [nodes.Output(nodes=[only])] if not isinstance(only, nodes.TemplateData):
                    stored = nodes.Assign(nodes.Name(_RESULT, "store"), only, lineno=1)
                    self._expressions[text] = self._compiled(nodes.Template([stored], lineno=1))
                case _:
                    self._expressions[text] = None
        return self._expressions[text]

    def _compiled(self, tree: nodes.Template) -> Template:
        return self._sandbox.from_string(self._sandbox.prepared(tree))

    def _evaluated(self, expression: Template, names: Mapping[str, object]) -> object:
        context = self._context(expression, names)
        for _ in expression.root_render_func(context):
            pass
        return context.vars[_RESULT]

    def _context(self, template: Template, names: Mapping[str, object]) -> Context:
        # A shared context keeps the mapping itself, so that only what is asked for renders; a dict would hold it all.
        scope: Any = _Scope(names, self._sandbox.globals)
        return template.new_context(scope, shared=True)

    def _rendered(self, text: str, names: Mapping[str, object]) -> str:
        if text not in self._texts:
            self._texts[text] = self._compiled(self._sandbox.parse(text))
        template = self._texts[text]
        context = self._context(template, names)
        pieces, length = [], 0
        for piece in template.root_render_func(context):
            length += len(piece)
            if length > TEXT_LIMIT:
                raise TemplateError(f"renders to more than {TEXT_LIMIT} characters")
            pieces.append(piece)
        return "".join(pieces)


class HostValues(Mapping[str, object]):
    """One host's variables as templates see them: rendered when asked for, each once. Magic names come first."""

    __slots__ = ("_failed", "_magic", "_nodes", "_rendered", "_renderer", "_rendering")

    def __init__(self, variables: Mapping[str, Node], magic: Mapping[str, object], renderer: Renderer) -> None:
        self._nodes = variables
        self._magic = magic
        self._renderer = renderer
        self._rendered: dict[str, Value] = {}
        self._failed: dict[str, TemplateProblem] = {}
        self._rendering: list[str] = []

    def __getitem__(self, name: str) -> object:
        if name in self._magic:
            return self._magic[name]
        if name in self._failed:
            raise self._failed[name]
        if name not in self._rendered:
            try:
                self._rendered[name] = self._render(name, self._nodes[name])
            except TemplateProblem as problem:
                self._failed[name] = problem
                raise
        return self._rendered[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._nodes, **self._magic})

    def __len__(self) -> int:
        return len(self._nodes.keys() | self._magic.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._magic or name in self._nodes

    def _render(self, name: str, node: Node) -> Value:
        if name in self._rendering:
            circle = " → ".join((*self._rendering[self._rendering.index(name) :], name))
            raise TemplateProblem(f"these variables need each other: {circle}", position=node.position)
        self._rendering.append(name)
        try:
            return render(node, self, self._renderer)
        finally:
            self._rendering.pop()


def render(
    node: Node, names: Mapping[str, object], renderer: Renderer, problems: list[TemplateProblem] | None = None
) -> Value:
    """``node`` with every string in it rendered over ``names``; keys are not templates.

    Raises the first TemplateProblem, or puts all of them into ``problems`` where that is given.
    """
    found: list[TemplateProblem] = []
    value = _rendered(node, names, renderer, found)
    if problems is not None:
        problems.extend(found)
    elif found:
        raise found[0]
    try:
        return _Settled().value(value)
    except TemplateError as error:
        raise TemplateProblem(str(error), position=node.position) from error


def _rendered(node: Node, names: Mapping[str, object], renderer: Renderer, found: list[TemplateProblem]) -> Value:
    if isinstance(node, List):
        return [_rendered(item, names, renderer, found) for item in node.items]
    if isinstance(node, Map):
        return {key: _rendered(value, names, renderer, found) for key, value in node.values.items()}
    if isinstance(node.value, str) and not isinstance(node.value, Unsafe):
        try:
            return renderer.value(node.value, names, node.position)
        except TemplateProblem as problem:
            found.append(problem)
            return None
    return node.value


class _Scope(Mapping[str, object]):
    """The host's values and behind them what the sandbox offers."""

    __slots__ = ("_behind", "_names")

    def __init__(self, names: Mapping[str, object], behind: Mapping[str, object]) -> None:
        self._names = names
        self._behind = behind

    def __getitem__(self, name: str) -> object:
        return self._names[name] if name in self._names else self._behind[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self._behind

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._behind), **dict.fromkeys(self._names)})

    def __len__(self) -> int:
        return len(set(self))


class _Settled:
    """Turns what an expression gave into plain data of its own; iterators and tuples become lists."""

    def __init__(self) -> None:
        self._parts = 0

    def value(self, value: object, depth: int = 0) -> Value:
        self._parts += 1
        if self._parts > VALUE_LIMIT or depth > DEPTH_LIMIT:
            raise TemplateError(f"renders to more than {VALUE_LIMIT} parts or {DEPTH_LIMIT} levels")
        if value is None or isinstance(value, (bool, int, float, Unsafe)):
            return value
        if isinstance(value, str):
            return str(value)
        if isinstance(value, Undefined):
            str(value)  # StrictUndefined raises and names what is undefined
        if isinstance(value, Mapping):
            return {self._key(key): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset, range, Iterator, KeysView, ItemsView, ValuesView)):
            return [self.value(item, depth + 1) for item in value]
        raise TemplateError(f"the expression gives a {type(value).__name__}, which is no value; was it to be called?")

    def _key(self, key: object) -> Key:
        if key is None or isinstance(key, (bool, int, float, str)):
            return key
        raise TemplateError(f"a key cannot be a {type(key).__name__}")


def _problem(error: Exception, text: str, names: Mapping[str, object], position: Position) -> TemplateProblem:
    problem = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
    line = error.lineno if isinstance(error, TemplateSyntaxError) else _line(error.__traceback__)
    if position.line == 0:
        position = Position(position.file, line or 1, 1)
    elif "\n" in text.rstrip("\n") and line:
        problem = f"line {line} of the text: {problem}"
    found = _UNDEFINED.search(problem)
    remedy = nearest(found[1], names, otherwise="set it, or give a default: {{ name | default('…') }}") if found else ""
    return TemplateProblem(problem.replace("\n", " "), remedy, position=position)


def _line(traceback: TracebackType | None) -> int | None:
    """The line of the template's text in which an exception came up."""
    line = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
