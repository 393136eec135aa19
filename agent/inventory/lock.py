"""lock.yaml: the exact bytes that names in tools.yaml and site.yaml stand for. Text to values and back.

People do not edit it, so a file with any mistake is refused as a whole. The text is stable: sorted, one fact a line,
the same for the same pins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agent.deploys.written import ExactlyWritten
from agent.domain.address import Address
from agent.domain.codec import to_plain
from agent.domain.fault import Mistake, refuse_truth
from agent.domain.pins import AgentPin, Asset, Pins, RepositoryPin, SecretPin, ToolPin
from agent.errors import InventoryError
from agent.inventory import validation
from agent.inventory.complaint import Complaints
from agent.inventory.secrets import NAME
from agent.inventory.source import Source
from agent.inventory.tools import (
    ArchiveTool,
    CommandName,
    DeclaredTool,
    PlatformName,
    PythonTool,
    ToolName,
    checked_path,
    checked_url,
)
from agent.problems import ProblemKind
from agent.system.document import Scalar
from agent.system.yaml import dump

LOCK_FILE = "lock.yaml"
AGENT = "hostwright"
"""The name of the agent's distribution. `hostwright lock` calls the agent so, too."""
_ANEW = "run `hostwright lock` in the config repo to write it anew"
_HASH = " --hash="
HEADER = "# Written by `hostwright lock`; do not edit.\n"

PinText = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,2000}$")]
HexDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
LockedBin = Annotated[
    dict[CommandName, Annotated[str, AfterValidator(checked_path)]],
    Field(min_length=1, description="command: its path in the archive, or its script"),
]


class LockedAsset(ExactlyWritten):
    url: Annotated[str, AfterValidator(checked_url)]
    sha256: HexDigest
    size: Annotated[int, Field(ge=0)]
    """bytes"""
    bin: LockedBin | None = None
    """if elsewhere than the tool's own bin says"""


class LockedRequirement(ExactlyWritten):
    requirement: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._,\[\]-]*==[A-Za-z0-9.+!_-]+( ; [^\x00-\x1f#\\]+)?$")
    ]
    hashes: Annotated[tuple[Hash, ...], Field(strict=False, min_length=1)]


class LockedTool(ExactlyWritten):
    """A locked tool: ``platforms``, or ``requirements`` and the requirement that they were resolved from
    (``asked``)."""

    version: PinText
    bin: LockedBin
    platforms: Annotated[dict[PlatformName, LockedAsset] | None, Field(min_length=1)] = None
    asked: PinText | None = None
    requirements: Annotated[tuple[LockedRequirement, ...] | None, Field(strict=False, min_length=1)] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.platforms is None) is not (self.requirements is not None and self.asked is not None):
            raise Mistake("a tool has either platforms, or asked and requirements", _ANEW)
        return self


class LockedRepository(ExactlyWritten):
    url: PinText
    ref: PinText | None = None
    """branch, tag or commit; none for the default branch"""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    tree: HexDigest
    """sha256 over all files: path, mode, sha256 of the content"""
    left_out: Annotated[tuple[PinText, ...] | None, Field(strict=False, min_length=1)] = None
    """what of the commit is not among them"""

    @model_validator(mode="after")
    def _address(self) -> Self:
        written = Address(self.url, self.ref or "")
        if Address.parse(written.pinned) != written:
            raise Mistake(f"{self.url} is not the address of a repository", _ANEW)
        return self


class LockedAgent(ExactlyWritten):
    """The locked agent. ``asked``: the requirement that it was resolved from."""

    version: Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+!]{0,60}$")]
    asked: PinText
    requirements: Annotated[tuple[LockedRequirement, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _itself(self) -> Self:
        if not any(line.requirement.partition(" ;")[0] == f"{AGENT}=={self.version}" for line in self.requirements):
            raise Mistake(f"the requirements of the agent hold no {AGENT}=={self.version}", _ANEW)
        return self


class LockedSecret(ExactlyWritten):
    """A file of secrets."""

    sha256: HexDigest
    recipients: Annotated[dict[PinText, PinText], Field(min_length=1)]
    """whom it was made for: recipient: name"""
    left: Annotated[dict[PinText, PinText] | None, Field(min_length=1)] = None
    """who left since the value was last changed"""


class LockFile(ExactlyWritten):
    version: Annotated[Literal[1], BeforeValidator(refuse_truth)]
    agent: LockedAgent | None = None
    tools: dict[ToolName, LockedTool] = Field(default_factory=dict)
    repositories: Annotated[tuple[LockedRepository, ...], Field(strict=False)] = ()
    secrets: dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], LockedSecret] = Field(default_factory=dict)
    """by name: <group or host>/<name>"""


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of lock.yaml. ``asked``: by tool, the requirement that its lines were resolved from; ``agent_asked``:
    the agent's."""

    tools: Mapping[str, ToolPin] = field(default_factory=dict)
    repositories: Mapping[str, RepositoryPin] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    agent: AgentPin | None = None
    agent_asked: str | None = None
    secrets: Mapping[str, SecretPin] = field(default_factory=dict)

    def agent_for(self, requirement: str) -> AgentPin:
        """The pin of the agent. Raises InventoryError (``not-locked``) when it was resolved from another
        requirement."""
        if self.agent is None or self.agent_asked != requirement:
            raise InventoryError(
                f"lock.yaml has {self.agent_asked or 'no pin for the agent'}, fleet.yaml asks for {requirement}",
                kind=ProblemKind.NOT_LOCKED,
                hint="run `hostwright lock` in the config repo; until then this host stays on its version",
            )
        return self.agent

    def pins(self, tools: Mapping[str, DeclaredTool]) -> Pins:
        """The pins that may be used: without tools that are behind tools.yaml."""
        reasons = ((name, self.behind(tool)) for name, tool in tools.items())
        behind = {name: reason for name, reason in reasons if reason}
        sound = {name: pin for name, pin in self.tools.items() if name in tools and name not in behind}
        return Pins(sound, self.repositories, behind)

    def behind(self, tool: DeclaredTool) -> str:
        """The reason why the pin of ``tool`` is not what tools.yaml asks for; empty where it is."""
        pin = self.tools.get(tool.name)
        if pin is None:
            return f"{tool.name}: lock.yaml has no pin for it"
        if isinstance(tool, PythonTool):
            facts = _facts_of_python(tool, pin, self.asked.get(tool.name, "none"))
        else:
            facts = _facts_of_archive(tool, pin)
        for what, locked, asked in facts:
            if locked != asked:
                return f"{tool.name}: lock.yaml has the {what} {locked}, tools.yaml asks for {asked}"
        return ""


def stale(
    lock: Lock, tools: Mapping[str, DeclaredTool], addresses: Collection[Address], agent: str | None = None
) -> Iterator[str]:
    """One line for everything that `hostwright lock` would change. ``agent``: the requirement of fleet.yaml."""
    asked = {address.pinned for address in addresses}
    if lock.agent_asked != agent:
        locked, wanted = lock.agent_asked or "no version", agent or "none"
        yield f"{AGENT}: lock.yaml has {locked}, fleet.yaml asks for {wanted}"
    yield from filter(None, (lock.behind(tool) for _, tool in sorted(tools.items())))
    yield from (f"{name}: lock.yaml has no pin for it" for name in sorted(asked - lock.repositories.keys()))
    unused = (lock.tools.keys() - tools.keys()) | (lock.repositories.keys() - asked)
    yield from (f"{name}: lock.yaml has a pin that nobody asks for" for name in sorted(unused))


_Facts = Iterator[tuple[str, str, str]]
"""The name of a fact, its value in lock.yaml, and the value that tools.yaml asks for. Nobody may read on behind the
first fact that differs: the values of later ones may not exist."""


def _facts_of_python(tool: PythonTool, pin: ToolPin, asked: str) -> _Facts:
    yield "requirement", asked, tool.requirement
    if tool.bin:
        yield "commands", _listed(pin.bin), _listed(tool.bin)


def _facts_of_archive(tool: ArchiveTool, pin: ToolPin) -> _Facts:
    yield "platforms", ", ".join(pin.assets) or "none", ", ".join(tool.assets)
    yield "version", pin.version, tool.version
    for platform, wanted in tool.assets.items():
        locked = pin.assets[platform]
        yield f"URL for {platform}", locked.url, wanted.url
        yield f"sha256 for {platform}", locked.sha256, wanted.sha256 or locked.sha256
        paths = locked.bin or pin.bin
        found = {command: paths.get(command, path) for command, path in wanted.bin.items() if command in tool.found}
        yield f"commands for {platform}", _listed(paths), _listed({**wanted.bin, **found})


def _listed(bin: Mapping[str, str]) -> str:
    return ", ".join(command if command == path else f"{command} ({path})" for command, path in sorted(bin.items()))


_RESTORE = "take the file from Git again (`git restore`), or in the config repo run `hostwright lock`; nobody writes it"


def read_lock(source: Source, complaints: Complaints) -> Lock:
    """The lock of an inventory; empty without a file. Mistakes go to ``complaints``."""
    root = source.read(LOCK_FILE, complaints) if source.has(LOCK_FILE) else None
    if isinstance(root, Scalar) and root.value is None:
        complaints.add(root.position, (), "the file is empty", _RESTORE)
        return Lock()
    wrong = Complaints()
    written = validation.validated(LockFile, root, wrong) if root is not None else None
    for complaint in wrong.sorted:
        complaints.put(replace(complaint, remedy=_RESTORE))
    if written is None:
        return Lock()
    pins = (RepositoryPin(**{"ref": "", **each.model_dump(exclude_none=True)}) for each in written.repositories)
    return Lock(
        {name: _tool_pin(name, tool) for name, tool in written.tools.items()},
        {pin.address.pinned: pin for pin in pins},
        {name: tool.asked for name, tool in written.tools.items() if tool.asked is not None},
        AgentPin(written.agent.version, _lines(written.agent.requirements)) if written.agent is not None else None,
        written.agent.asked if written.agent is not None else None,
        {name: SecretPin(**each.model_dump(exclude_none=True)) for name, each in written.secrets.items()},
    )


def lock_text(lock: Lock) -> str:
    """The text of lock.yaml for ``lock``; the reverse of ``read_lock``."""
    said = {
        "version": 1,
        "agent": lock.agent and _said(lock.agent, lock.agent_asked),
        "tools": {
            name: {**_said(pin, lock.asked.get(name)), "bin": to_plain(pin.bin), "platforms": to_plain(pin.assets)}
            for name, pin in lock.tools.items()
        },
        "repositories": [to_plain(pin) for _, pin in sorted(lock.repositories.items())],
        "secrets": to_plain(lock.secrets),
    }
    # Validated, so that nothing is written that could not be read.
    written: Any = LockFile.model_validate(_filled(said)).model_dump(mode="json", exclude_defaults=True)
    return HEADER + dump(written)


def _tool_pin(name: str, tool: LockedTool) -> ToolPin:
    platforms = sorted((tool.platforms or {}).items())
    assets = {platform: Asset(**asset.model_dump(exclude_none=True)) for platform, asset in platforms}
    return ToolPin(name, tool.version, tool.bin, assets, _lines(tool.requirements or ()))


def _lines(requirements: Iterable[LockedRequirement]) -> tuple[str, ...]:
    """Requirements as pip reads them."""
    return tuple(_HASH.join((line.requirement, *line.hashes)) for line in requirements)


def _said(pin: ToolPin | AgentPin, asked: str | None) -> dict[str, Any]:
    parts = (line.split(_HASH) for line in sorted(pin.requirements))
    requirements = [{"requirement": requirement, "hashes": sorted(hashes)} for requirement, *hashes in parts]
    return {"version": pin.version, "asked": asked, "requirements": requirements}


def _filled(value: Any) -> Any:
    """``value`` without empty parts, keys sorted. pydantic later orders the keys of a model by its fields."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in sorted(value.items()) if item not in (None, "", {}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value
