"""tools: programs at exact versions, for everybody on the host.

    - tools: [ruff, ripgrep]          # described in tools.yaml, pinned in lock.yaml

The agent removes a tool that is no longer in the list. Arguments are whole pins with all platforms, so that the desired
state does not depend on the machine that asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator

from agent.deploys.spec import NAMES, Concrete, Sources, Spec
from agent.deploys.written import checked
from agent.domain import codec
from agent.domain.desired import Resource
from agent.domain.digest import JSON, digest_of
from agent.domain.fault import Fault, Mistake
from agent.domain.near import near
from agent.domain.pins import TOOL_NAME, Pins, ToolPin
from agent.errors import InventoryError
from agent.problems import ProblemKind

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~!-]{0,99}")
"""Versions that can be the name of a folder on the host."""

COMMANDS = "/usr/local/bin"

ToolName = Annotated[str, checked(TOOL_NAME.fullmatch, "the name of a tool", "write it as tools.yaml does")]


class ToolsSpec(Spec):
    kind: ClassVar[str] = "tools"
    owned: ClassVar[Mapping[str, str]] = {"tool": "tools"}
    short = NAMES

    tools: tuple[ToolName, ...] = ()
    """Names of tools as in tools.yaml. Their commands are linked into /usr/local/bin."""

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"tools": value} if isinstance(value, (list, tuple)) else value

    @field_validator("tools")
    @classmethod
    def _once(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tools))

    def merged(self, later: Self) -> Self:
        return self.model_copy(update={"tools": tuple(dict.fromkeys((*self.tools, *later.tools)))})

    def concrete(self, sources: Sources) -> Concrete:
        pins = _all_pinned(self.tools, sources.pins)
        _refuse_shared_commands(pins)
        written: list[JSON] = [codec.to_plain(pin) for pin in pins]
        resources = [Resource(f"tool:{pin.name}", digest_of(one)) for pin, one in zip(pins, written, strict=True)]
        links = (
            Resource(f"link:{COMMANDS}/{command}", tool.digest)
            for pin, tool in zip(pins, resources, strict=True)
            for command in pin.bin
        )
        return Concrete({"tools": written}, tuple(resources), tuple(links))


def _all_pinned(names: Iterable[str], pins: Pins) -> list[ToolPin]:
    """The pins of the tools with these ``names``. Raises Mistake about every tool that has no pin, or whose version,
    name or command can be no name of a file."""
    found: list[ToolPin] = []
    faults: list[Fault] = []
    for index, name in enumerate(names):
        where = ("tools", index)
        try:
            pin = pins.tool(name)
        except InventoryError as error:
            meant = near(name, (*pins.tools, *pins.behind)) if name not in pins.behind else []
            faults.append(Fault(error.message, f"did you mean {meant[0]}?" if meant else error.hint, where))
            continue
        for word, pattern in ((pin.version, _VERSION), *((word, TOOL_NAME) for word in (pin.name, *pin.bin))):
            if not pattern.fullmatch(word):
                why = f"{name}: {word!r} cannot be the name of a folder or a command"
                faults.append(Fault(why, "run `hostwright lock` in the config repo", where))
        found.append(pin)
    if faults:
        raise Mistake.of(faults, kind=ProblemKind.NOT_LOCKED)
    return found


def _refuse_shared_commands(pins: Iterable[ToolPin]) -> None:
    owners: dict[str, str] = {}
    for pin in pins:
        for command in pin.bin:
            other = owners.setdefault(command, pin.name)
            if other != pin.name:
                raise Mistake(
                    f"{other} and {pin.name} both bring the command {command}",
                    "have only one of them on a host, or leave the command out of one's `bin` in tools.yaml",
                    ("tools",),
                )
