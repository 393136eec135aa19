"""The tables of docs/ that are made from code: fields of the models, keys of fleet.yaml, commands and their options.

A table stands between ``<!-- table: name -->`` and ``<!-- end -->``; ``tests/test_docs.py`` fails where one is not
what the code says, ``python -m tests.docs`` writes all of them anew.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.checks.spec import KINDS, CheckSpec
from agent.cli.table import SECTIONS, load_command
from agent.deploys import operations
from agent.deploys.command.spec import CommandEntry
from agent.deploys.containers.spec import QuadletEntry
from agent.deploys.cron.spec import CronJob
from agent.deploys.files.entry import BlockEntry, FileEntry, LineEntry
from agent.deploys.hosts.spec import HostsEntry
from agent.deploys.kind import NAMES, OPERATIONS, row_of
from agent.deploys.packages.spec import Repository
from agent.deploys.services.spec import UnitEntry
from agent.deploys.spec import kinds, spec_class
from agent.deploys.sysctl.spec import Setting
from agent.deploys.users.spec import AccountEntry, GroupEntry
from agent.deploys.written import descriptions
from agent.domain.fault import Fault
from agent.engine import operation_calls
from agent.inventory.environment import Environment
from agent.inventory.fleet import NOT_IN_FORCE, Fleet
from agent.inventory.schema import schema
from agent.inventory.template import not_here
from agent.inventory.template.sandbox import known
from agent.phases import PHASES, TRIAL
from agent.steps.resolve import fleet_settings
from benchmarks.results import Results
from benchmarks.table import KEPT, markdown

DOCS = Path(__file__).parents[2] / "docs"
PAGES = tuple(
    DOCS / page
    for page in (
        "architecture.md",
        "configuration.md",
        "operations.md",
        "performance.md",
        "coming-from/ansible-names.md",
    )
)

BY_STEPS = ("reboot", "suspend", "webhook", "windows", "providers")
"""Keys of fleet.yaml that are something or nothing: no default that could be changed."""

_MARKED = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Schema = Mapping[str, Any]


def refreshed(text: str) -> str:
    """A page with its tables made anew. Raises KeyError for a table that nobody makes."""
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    columns = head.split(" | ")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text as one cell: outside of code, ``<name>`` would be a tag to a Markdown reader."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


# --- Deploys ----------------------------------------------------------------------------------------------------------


def fields(model: type[BaseModel]) -> str:
    """One row for each field of a model: what may be written, its default, what it means."""
    document = model.model_json_schema()
    rows = []
    for name, field in model.model_fields.items():
        form = _form(document["properties"][field.alias or name], document.get("$defs", {}))
        rows.append([f"`{field.alias or name}`", form, _default(field), _cell(descriptions(model).get(name, ""))])
    return _table("field | what | default | meaning", rows)


def _form(part: Schema, definitions: Mapping[str, Schema]) -> str:
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return _form(definitions[name], definitions) if "enum" in definitions[name] else f"`{name}`"
    if "anyOf" in part:
        forms = [_form(each, definitions) for each in part["anyOf"] if each.get("type") != "null"]
        lists = {form: "a list of them" for form in forms if form.removeprefix("list of ") in forms}
        return " or ".join(dict.fromkeys(lists.get(form, form) if "list of" in form else form for form in forms))
    if "const" in part:
        return f"`{_written(part['const'])}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    match part.get("type"):
        case [*kinds]:
            return " or ".join(_form({**part, "type": kind}, definitions) for kind in kinds)
        case "array":
            return f"list of {_form(part['items'], definitions)}"
        case "object":
            inner = part.get("additionalProperties")
            return f"map to {_form(inner, definitions)}" if isinstance(inner, Mapping) else "map"
        case "boolean":
            return "`true`, `false`"
        case "string" if part.get("format") == "date":
            return "day"
        case "string":
            return "duration" if part.get("pattern", "").endswith("([smhd])$") else "text"
        case kind:
            return {"integer": "number"}.get(str(kind), str(kind))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value in (None, (), {}, "") or field.is_required() else f"`{_written(value)}`"


def _written(value: object) -> str:
    """A plain value as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_written, value))}]"
    return "null" if value is None else str(value)


# --- Checks -----------------------------------------------------------------------------------------------------------


def checks() -> str:
    """One row for each key of each kind of check; what all have comes last."""
    rows = []
    for kind, model in KINDS.items():
        own = {name: field for name, field in model.model_fields.items() if name not in CheckSpec.model_fields}
        for name, field in own.items():
            meaning = _cell(descriptions(model).get(name, ""))
            said = f"{inspect.cleandoc(model.__doc__ or '')} {meaning}".strip() if name == kind else meaning
            rows.append([f"`{kind}`" if name == kind else "", f"`{name}`", _timed(name, field), said])
    common, meanings = CheckSpec.model_fields.items(), descriptions(CheckSpec)
    rows += [["all", f"`{name}`", _timed(name, field), _cell(meanings[name])] for name, field in common]
    return _table("check | key | default | meaning", rows)


def _timed(name: str, field: FieldInfo) -> str:
    return f"`{field.default}s`" if name in ("timeout", "since") else _default(field)


# --- Deploy files -----------------------------------------------------------------------------------------------------

SAMPLE = {
    **dict.fromkeys(("dest", "path", "src"), "/srv/some"),
    **dict.fromkeys(("packages", "user", "group", "service"), "some"),
}
"""An argument for every operation that is owned: what comes of it tells the kind of resource."""


def owned() -> str:
    """One row for each kind of resource, with pyinfra's operations that it is known by."""
    kinds: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        (key,) = operation_calls.owned(operation_calls.Call(f"pyinfra.operations.{operation}", SAMPLE))
        kinds.setdefault(key.partition(":")[0], []).append(f"`{operation}`")
    return _table("resource | operations", ([f"`{kind}:`", " ".join(names)] for kind, names in kinds.items()))


def kinds_of_resources() -> str:
    """One row for each built-in deploy, with the kinds of resources that are its own."""
    deploys: dict[str, list[str]] = {}
    for name in NAMES:
        deploys.setdefault(row_of(name).place.partition(".")[0], []).append(f"`{name}:`")
    return _table(
        "deploy | resources", ([f"[{deploy}](#{deploy})", " ".join(names)] for deploy, names in deploys.items())
    )


def operations_of_ours() -> str:
    """One row for each built-in deploy that a deploy file can import."""
    names = (kind for kind in kinds() if hasattr(operations, kind))
    return _table("operation | takes", ([f"`{name}`", f"[what the inventory says](#{name})"] for name in names))


# --- fleet.yaml -------------------------------------------------------------------------------------------------------


def fleet() -> str:
    """One row for each key, with what it does in this version."""
    rows = []
    for path, part, default in _keys():
        says = _cell(str(part.get("description", "")))
        rows.append([f"`{'.'.join(path)}`", default, force(path), says])
    return _table("key | default | in force | meaning", rows)


def force(path: tuple[str, ...]) -> str:
    """Whether a key does something: found out by changing it, and looking whether the agent reads a difference."""
    if any(path[: len(planned)] == planned for planned in NOT_IN_FORCE):
        return "not yet; another value is refused"
    if path[0] in BY_STEPS or _read(_changed(path)) != _read(Fleet()):
        return "yes"
    return "no; read and without effect"


def _read(fleet: Fleet) -> object:
    inventory = SimpleNamespace(hosts=(), match=lambda _: ())
    settings = fleet_settings(cast("Environment", SimpleNamespace(fleet=fleet, inventory=inventory)), "host")
    return settings, fleet.agent.requirement


def _changed(path: tuple[str, ...]) -> Fleet:
    section, key = path
    part = getattr(Fleet(), section)
    value = getattr(part, key)
    choices = [choice for choice in get_args(type(part).model_fields[key].annotation) if isinstance(choice, str)]
    another = next((choice for choice in choices if choice != value), "something else")
    other: object = value + 1 if isinstance(value, int) else another
    return Fleet().model_copy(update={section: part.model_copy(update={key: other})})


def _keys() -> Iterator[tuple[tuple[str, ...], Schema, str]]:
    document = schema("fleet")
    for name, part in document["properties"].items():
        planned = (name,) in NOT_IN_FORCE
        inner = document["$defs"].get(part["anyOf"][0].get("$ref", "").rpartition("/")[2])
        if inner is None or planned or name in BY_STEPS:
            yield (name,), {"description": _inside(name, document)}, _empty(name)
            continue
        for key, leaf in inner["properties"].items():
            yield (name, key), leaf, f"`{_written(leaf['default'])}`"


def _empty(name: str) -> str:
    value = getattr(Fleet(), name)
    if isinstance(value, BaseModel):
        said = {key: getattr(value, key) for key in type(value).model_fields}
        given = ", ".join(f"{key}: {'null' if part is None else _written(part)}" for key, part in said.items())
        return f"`{{{given}}}`"
    return {"()": "`[]`", "None": "`null`"}.get(str(value), f"`{value}`")


def _inside(name: str, document: Schema) -> str:
    """The keys below a key, as the models name them."""
    parts = _references(document["properties"][name])
    keys = [f"`{key}`" for part in parts for key in document["$defs"][part].get("properties", {})]
    return f"keys: {', '.join(keys)}" if keys else ""


def _references(part: object) -> Iterator[str]:
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield str(part["$ref"]).rpartition("/")[2]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


# --- Commands ---------------------------------------------------------------------------------------------------------


def commands() -> str:
    """One row for each command, with its arguments and options."""
    rows = []
    for names in SECTIONS.values():
        for name in names:
            for words, command in _with_inner(name, load_command(name)):
                rows.append([f"`hostwright {words}`", _cell(command.help or ""), "<br>".join(_options(command))])
    return _table("command | what it does | arguments and options", rows)


def _with_inner(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command, and those below it where it is a group."""
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield f"{name} {inner}", below


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            metavar = "" if parameter.is_flag else f" {parameter.make_metavar(click.Context(command))}"
            names = ", ".join((*parameter.opts, *parameter.secondary_opts))
            yield f"`{names}{metavar}` {_cell(parameter.help or '')}"
        else:
            yield f"`{parameter.make_metavar(click.Context(command))}`".replace("|", "\\|")


MODELS: dict[str, type[BaseModel]] = {
    **{kind: spec_class(kind) for kind in kinds()},  # of some, rather one of its entries:
    "packages repository": Repository,
    "files": FileEntry,
    "files line": LineEntry,
    "files block": BlockEntry,
    "services": UnitEntry,
    "users": AccountEntry,
    "users group": GroupEntry,
    "containers": QuadletEntry,
    "sysctl": Setting,
    "hosts": HostsEntry,
    "cron": CronJob,
    "command": CommandEntry,
}

# --- Phases -----------------------------------------------------------------------------------------------------------


def phases() -> str:
    """One row for each phase of a cycle."""

    def steps(names: Iterable[str]) -> str:
        return ", ".join(f"[{name}](../agent/steps/{name}.py)" for name in names)

    return _table(
        "phase | gives | steps | what it does",
        ([f"`{each.name}`", f"`{each.gives}`", steps(each.steps), each.does] for each in PHASES),
    )


def trial() -> str:
    """One row for each way from a state of a trial to the next."""
    return _table("state | when | next", TRIAL)


# --- Ansible's names --------------------------------------------------------------------------------------------------


def names_there(kind: str) -> str:
    """The filters or tests that work, as one paragraph."""
    return " ".join(f"`{name}`" for name in sorted(known(kind)) if name != "counted").replace("|", "\\|")


def names_not_there(names: Mapping[str, Fault]) -> str:
    """One row for each reason, with the names that it holds for."""
    rows: dict[Fault, list[str]] = {}
    for name, fault in names.items():
        rows.setdefault(fault, []).append(f"`{name}`")
    return _table(
        "name | why not | what instead",
        ([" ".join(found), _cell(fault.problem), _cell(fault.remedy)] for fault, found in rows.items()),
    )


TABLES: dict[str, Callable[[], str]] = {
    **{name: partial(fields, model) for name, model in MODELS.items()},
    "owned": owned,
    "kinds": kinds_of_resources,
    "operations": operations_of_ours,
    "checks": checks,
    "fleet": fleet,
    "commands": commands,
    "performance": lambda: markdown(Results.read(KEPT)).strip(),
    "phases": phases,
    "trial": trial,
    "filters there": partial(names_there, "filter"),
    "tests there": partial(names_there, "test"),
    "filters not there": partial(names_not_there, not_here.FILTERS),
    "tests not there": partial(names_not_there, not_here.TESTS),
    "lookups not there": partial(names_not_there, not_here.LOOKUPS),
    "variables not there": partial(names_not_there, not_here.VARIABLES),
}
