"""Jinja2's errors in our words: what the writer of the template did, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError

from agent.domain.fault import Fault, Mistake
from agent.inventory.complaint import nearest
from agent.inventory.template.bounds import MEMORY_LIMIT
from agent.inventory.template.not_here import FACTS, variable

RAW = "to have {{ or {% in the text itself, write {% raw %} before and {% endraw %} behind it"
DEFAULT = "set it, or give a default: {{ name | default('…') }}"

_COLLECTIONS = "collections of Ansible are not read here: write the value down, or work it out in a deploy file"

_NAME = re.compile(r"'(\w+)' is undefined")
_PART = re.compile(r"'(?P<what>[^']*) object' has no (?:attribute|element) '?(?P<name>[^']*)'?")
_UNKNOWN = re.compile(r"No (filter|test) named '([^']+)'")
_TAG = re.compile(r"unknown tag '(\w+)'")
_OPEN = re.compile(r"innermost block that needs to be closed is '(\w+)'")

_CALLED = r"(?:\S+\.)?(?:sync_)?(?:do_|test_)?(\w+)\(\)"
"""A function as Python's messages name it: ``SecretFiles.function.<locals>.secret()``, ``sync_do_join()``."""

_OF_PYTHON = (
    (
        re.compile("no loader"),
        "a template takes in no other file",
        "write here what the file says, or make a variable of it",
    ),
    (
        re.compile("object is not callable"),
        "a variable stands where a function is called",
        "give the variable another name: those of functions (secret, sops, vault, lookup …) are taken",
    ),
    (
        re.compile(r"can only concatenate|unsupported operand type.* \+: "),
        "a text and a number cannot be added",
        "join texts by ~, or convert: | int",
    ),
    (
        re.compile(rf"{_CALLED} got an unexpected keyword argument '(\w+)'"),
        r"\1() has no argument \2",
        "correct its name, or leave it out",
    ),
    (
        re.compile(rf"{_CALLED} (takes|missing|got) .*argument"),
        r"\1() is given too many arguments, or too few",
        "correct what stands between its brackets",
    ),
    (re.compile("division by zero|modulo by zero"), "this divides by zero", "correct the expression"),
)
"""Rows of a pattern for Python's message about an expression, the problem and the remedy."""

_EXPRESSION = re.compile(r"\{\{(?P<inside>.*?)(?:\}\}|(?=\{\{)|\Z)", re.DOTALL)

_TAGS = ("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "raw", "endraw", "filter", "macro", "call")


def said(error: Exception, text: str, names: Mapping[str, object], known: Callable[[str], Collection[str]]) -> Fault:
    """Problem and remedy for ``error`` in the template ``text`` over ``names``. ``known`` gives the names of filters
    and tests."""
    message = str(error).replace("\n", " ")
    if found := _UNKNOWN.search(message):
        return _unknown_function(found[1], found[2], known)
    if isinstance(error, UndefinedError):
        return _undefined(message, names)
    if isinstance(error, TemplateSyntaxError):
        return _syntax(message, text)
    if isinstance(error, Mistake):
        return error.faults[0]
    if isinstance(error, TemplateError):
        problem, _, remedy = message.partition("; ")
        return Fault(problem, remedy or "correct the expression")
    return _of_python(error, message)


def _of_python(error: Exception, message: str) -> Fault:
    if isinstance(error, MemoryError):
        return Fault(
            f"this takes more than {MEMORY_LIMIT // 1024**2} MiB of memory",
            "make texts and lists shorter, and keep less of each round of a loop",
        )
    if isinstance(error, RecursionError):
        return Fault(
            "this is nested too deep, or calls itself without end", "write it flatter, or end the macro's calls"
        )
    for form, problem, remedy in _OF_PYTHON:
        if found := form.search(message):
            return Fault(found.expand(problem), remedy)
    problem = f"this cannot be worked out: {message or type(error).__name__}"
    return Fault(problem, "correct the expression, or convert: | int, | string, | bool")


def _unknown_function(kind: str, name: str, known: Callable[[str], Collection[str]]) -> Fault:
    if "." in name and not name.startswith("ansible."):
        return Fault(f'there is no {kind} "{name}"', _COLLECTIONS)
    otherwise = "use one of Jinja2's or Ansible's that work on values alone"
    return Fault(f'there is no {kind} "{name}"', nearest(name.rpartition(".")[2], known(kind), otherwise=otherwise))


def _undefined(message: str, names: Mapping[str, object]) -> Fault:
    if found := _NAME.search(message):
        name = found[1]
        if (fault := variable(name)) is not None:
            return Fault(f'there is no variable "{name}" here: {fault.problem}', fault.remedy)
        known = (*names, "hostvars") if "hostvars" in names else names
        return Fault(message, FACTS.remedy if name.startswith("ansible_") else nearest(name, known, otherwise=DEFAULT))
    found = _PART.search(message)
    if found is None:
        return Fault(message, DEFAULT)
    what, name = found["what"].rpartition(".")[2], found["name"]
    if what == "HostVars":
        hosts = names.get("hostvars")
        near = nearest(
            name, hosts if isinstance(hosts, Mapping) else (), otherwise="write a full name of the hosts file"
        )
        return Fault(f'there is no host "{name}" in hostvars', near)
    if what == "HostValues":
        return Fault(f'that host has no variable "{name}"', nearest(name, names, otherwise=DEFAULT))
    groups = names.get("groups")
    near = nearest(name, groups) if isinstance(groups, Mapping) else ""
    return Fault(f'nothing in there is called "{name}"', near or DEFAULT)


def _syntax(message: str, text: str) -> Fault:
    if re.search(r"\{\{-?\s*\.", text):
        return Fault("{{ begins a template here, and this is one of Go", RAW)
    if found := _TAG.search(message):
        return Fault(f"there is no {{% {found[1]} %}}", nearest(found[1], _TAGS, otherwise=RAW))
    if found := _OPEN.search(message):
        return Fault(f"the {{% {found[1]} %}} is never ended", f"write {{% end{found[1]} %}} where it ends")
    if (unclosed := _unclosed(message, text)) is not None:
        return unclosed
    return Fault("this cannot be read as a template", f"correct what stands between {{{{ and }}}}; {RAW}")


def _unclosed(message: str, text: str) -> Fault | None:
    for closing, mark in (("end of print statement", "}}"), ("end of statement block", "%}")):
        if "end of template" in message and closing in message:
            return Fault(f"{mark[::-1].replace('}', '{')} opens here and is never closed", f"end it with {mark}; {RAW}")
    for found in _EXPRESSION.finditer(text):
        if not found[0].endswith("}}"):
            line = text.count("\n", 0, found.start()) + 1
            where = f" of line {line}" if "\n" in text.rstrip("\n") else ""
            return Fault(f"the {{{{{where} is never closed", f"end it with }}}}; {RAW}")
    if "Missing end of comment" in message:
        return Fault("{# opens a comment that is never closed", f"end it with #}}; {RAW}")
    return None
