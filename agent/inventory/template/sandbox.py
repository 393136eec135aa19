"""Jinja2 for inventories: an immutable sandbox that refuses undefined values, reads no files and keeps ``bounds``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, Undefined, nodes
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from agent.inventory.template.bounds import (
    TEXT_LIMIT,
    bounded_range,
    bounded_round,
    budget,
    forbid,
    require_bounded_operation,
)
from agent.inventory.template.filters.registry import CONDITIONS, FILTERS, with_full_names
from agent.inventory.template.not_here import FILTERS as NO_FILTERS
from agent.inventory.template.not_here import TESTS as NO_TESTS
from agent.inventory.template.not_here import refuse_lookup
from agent.inventory.template.sealed import (
    Sealed,
    as_text,
    guarded_filters,
    guarded_tests,
    is_sealed,
    listed,
    require_open,
    require_unforged,
)
from agent.inventory.template.undefined import Absent, first_undefined, require_defined

_MAKING = (dict, Cycler, Joiner, Namespace)
"""Functions that may get a secret: they only keep what they are given."""

_RETURN, _LONE_RETURN = "\x1f\x1e\x1f", "\x1d\x1e\x1d"
"""Marks for carriage returns: separators of old terminals, which no text has in this order."""


class _ObjectCode(NativeCodeGenerator):
    """A generator of code that yields objects, for a lone constant too."""

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        parts = [part for part in group if part is not None]
        return repr("".join(map(str, parts)) if len(parts) > 1 else parts[0] if parts else None)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates. ``trim_blocks`` is set as in Ansible."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))
    code_generator_class = _ObjectCode

    def __init__(self) -> None:
        super().__init__(undefined=Absent, finalize=require_defined, trim_blocks=True, cache_size=0, autoescape=False)
        self._compiled: dict[str, Template] = {}
        self.globals = {
            "range": bounded_range,
            "dict": dict,
            "cycler": Cycler,
            "joiner": Joiner,
            "namespace": Namespace,
        }
        self.globals.update(dict.fromkeys(("lookup", "query", "q"), refuse_lookup))
        self.globals.update({"now": _refuse_now, "undef": _undef})
        self.filters.update(FILTERS)
        self.tests.update(CONDITIONS)
        self.filters["round"] = bounded_round(self.filters["round"])
        self.filters = with_full_names(guarded_filters(self.filters))
        self.tests = with_full_names(guarded_tests(self.tests))
        self.filters["counted"] = _counted

    def compiled(self, text: str) -> Template:
        """The compiled template, cached. Loops are counted, and ``~`` becomes the bounded ``+``. Raises
        TemplateError."""
        if text not in self._compiled:
            tree = self.parse(_with_returns_aside(text))
            _Bounded().visit(tree)
            _Returns().visit(tree)
            self._compiled[text] = self.from_string(tree)
        return self._compiled[text]

    def compiled_value(self, text: str) -> Template:
        """``compiled`` for a variable, where a backslash in ``{{ '\\1' }}`` is literal, as in Ansible. In a template
        file it begins an escape sequence."""
        return self.compiled(self._backslashes_doubled(_with_returns_aside(text)) if "\\" in text else text)

    def _backslashes_doubled(self, text: str) -> str:
        parts, inside = [], False
        for _, kind, part in self.lex(text):
            inside = kind == "variable_begin" or (inside and kind != "variable_end")
            parts.append(part.replace("\\", "\\\\") if inside and kind == "string" else part)
        return "".join(parts)

    @staticmethod
    def concat(pieces: Iterable[Any]) -> Any:
        """The only piece, or the text of several pieces; pieces that are None do not count. None where there is no
        piece. Raises TemplateError."""
        found: list[Any] = []
        length = 0
        for piece in pieces:
            if piece is not None:
                found.append(require_unforged(piece))
                length += len(piece) if isinstance(piece, str) else 1
            if length > TEXT_LIMIT:
                raise TemplateError(f"renders to more than {TEXT_LIMIT} characters")
        if len(found) <= 1:
            return listed(found[0]) if found else None  # within the bounds; an iterator could be read only once
        texts = [as_text(piece) for piece in found if _is_there(piece)]
        text = "".join(map(str, texts))
        return Sealed(text) if is_sealed(*texts) else text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if is_sealed(left, right) and operator != "+":
            require_open(left, right)
        require_bounded_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __function: Any, *args: Any, **named: Any) -> Any:  # noqa: N805 as in Jinja2
        budget.step()
        if not isinstance(__function, Macro):
            undefined = first_undefined(__function, *args, *named.values())
            if undefined is not None:
                return undefined
            if __function not in _MAKING:
                require_open(*args, *named.values())
        return super().call(__context, __function, *args, **named)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The attribute that Jinja2 finds; of ``hostvars`` and of a host's values what ``getitem`` finds."""
        return self.getitem(obj, attribute) if _is_of_hosts(obj) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The item that Jinja2 finds; of ``hostvars`` and of a host's values an entry, else a method of any mapping."""
        if _is_of_hosts(obj) and isinstance(argument, str) and not hasattr(Mapping, argument):
            try:
                return obj[argument]
            except LookupError:
                return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        if not isinstance(obj, (list, dict)) or attribute.startswith("_"):
            forbid(f'a template may not use "{attribute}"')
        instead = "{% set x = x + [item] %}" if isinstance(obj, list) else "{% set x = x | combine({key: value}) %}"
        forbid(f"{attribute}() would change a value, and values stay as they are; make a new one: {instead}")


def _is_of_hosts(value: object) -> bool:
    """True for ``hostvars`` and for the values of a host."""
    return isinstance(value, Mapping) and not isinstance(value, dict)


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        budget.step()
        yield item


def _is_there(piece: object) -> bool:
    """True if ``piece`` adds to a text. An ``if`` without ``else`` yields an Undefined of Jinja2's own, which does
    not."""
    return not isinstance(piece, Undefined) or isinstance(piece, Absent)


class _Bounded(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 as in Jinja2
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "counted", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802 as in Jinja2
        self.generic_visit(node)
        texts = [nodes.Filter(part, "string", [], [], None, None, lineno=node.lineno) for part in node.nodes]
        joined: nodes.Expr = texts[0]
        for text in texts[1:]:
            joined = nodes.Add(joined, text, lineno=node.lineno)
        return joined


class _Returns(NodeTransformer):
    """A visitor that restores the carriage returns of a template's own text."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.TemplateData:  # noqa: N802 as in Jinja2
        # A mark without a newline before it stood behind one that ``trim_blocks`` removed.
        node.data = node.data.replace(f"\n{_RETURN}", "\r\n").replace(_RETURN, "").replace(_LONE_RETURN, "\r")
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Const:  # noqa: N802 as in Jinja2
        if isinstance(node.value, str):
            node.value = node.value.replace(_RETURN, "").replace(_LONE_RETURN, "\n")
        return node


def _with_returns_aside(text: str) -> str:
    """``text`` with carriage returns replaced by marks, because Jinja2 would normalise them. The marks are white space
    to Jinja2, so that ``{%- -%}`` strips them. A carriage return before the final newline is removed instead, so that
    Jinja2 drops this newline like any other final one."""
    text = f"{text[:-2]}\n" if text.endswith("\r\n") else text
    return text.replace("\r\n", f"\n{_RETURN}").replace("\r", _LONE_RETURN) if "\r" in text else text


def _refuse_now(*_: object, **__: object) -> NoReturn:
    forbid("now() asks the clock, and each rendering has to give the same value; write the value down instead")


def _undef(hint: str | None = None) -> Absent:
    """The function ``undef``: an undefined value, for a variable that a group or a host has to set."""
    return Absent(hint or "a mandatory variable has not been overridden")


@cache
def known(kind: str) -> tuple[str, ...]:
    """The names of all filters (``filter``) or tests (``test``) that work."""
    names, refused = (Sandbox().filters, NO_FILTERS) if kind == "filter" else (Sandbox().tests, NO_TESTS)
    return tuple(name for name in names if "." not in name and name not in refused)
