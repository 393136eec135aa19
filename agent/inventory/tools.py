"""tools.yaml: the sources of tools; ``hostwright lock`` turns them into pins.

An archive or a binary has a URL for each platform, made from a template over ``version``, ``platform`` and ``arch``. A
tool written in Python has the name of its distribution. Hosts and variables are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from agent.deploys.written import ExactlyWritten
from agent.domain.fault import Fault, KeyPath, Mistake
from agent.domain.near import near
from agent.domain.pins import TOOL_NAME
from agent.inventory import validation
from agent.inventory.complaint import Complaints
from agent.inventory.source import Source
from agent.inventory.template.render import Renderer, TemplateProblem
from agent.system.document import Map, Node, Position

TOOLS_FILE = "tools.yaml"

_DISTRIBUTION = re.compile(
    r"(?P<name>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(\[[A-Za-z0-9._-]+(,\s*[A-Za-z0-9._-]+)*\])?"
)
_CLAUSE = r"\s*(===?|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*"
_SPECIFIER = re.compile(rf"{_CLAUSE}(,{_CLAUSE})*")
_BARE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]*(\.\*)?")
_RENDERER = Renderer()
_DOWNLOADED = ("https://", "http://", "file:///")


@dataclass(frozen=True, slots=True)
class WantedAsset:
    """The download for one platform, and its sha256 where the administrator gives one. ``bin``: by command, the path in
    the archive; the command itself where none is given."""

    url: str
    sha256: str | None
    bin: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ArchiveTool:
    """A tool from an archive or a binary. ``assets``: by platform. ``found``: commands whose path in the archive is to
    be found."""

    name: str
    version: str
    assets: Mapping[str, WantedAsset]
    found: frozenset[str]
    position: Position
    exact: ClassVar = True
    """It always asks for one version."""


@dataclass(frozen=True, slots=True)
class PythonTool:
    """A tool from a Python distribution. ``requirement``: as pip writes it (``ruff==0.6.*``). ``bin``: empty where all
    scripts are wanted."""

    name: str
    distribution: str
    requirement: str
    bin: Mapping[str, str]
    position: Position

    @property
    def exact(self) -> bool:
        """True if the requirement asks for one version."""
        return re.search(r"[^=!<>~]==[^=*,]+$", self.requirement) is not None


DeclaredTool = ArchiveTool | PythonTool


def checked_url(url: str) -> str:
    """``url`` if it can be downloaded. Raises Mistake."""
    if not url.startswith(_DOWNLOADED) or re.search(r"[\x00-\x20\x7f]|://[^/]*@", url):
        raise Mistake(f'"{url}" cannot be downloaded', "write https://…, without a name or password in it")
    return url


def checked_path(path: str) -> str:
    """``path`` if it is a relative path inside an archive. Raises Mistake."""
    if any(part in ("", ".", "..") for part in path.split("/")) or re.search(r"[\x00-\x1f\x7f\\]", path):
        raise Mistake(f'"{path}" is not a path in an archive', 'write a relative one, without ".."')
    return path


def _text(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise Mistake(f"{value} is read as a number, which has lost what was written", "put it in quotes")
    return value


Version = Annotated[str, Field(min_length=1, max_length=100), BeforeValidator(_text)]
CommandName = Annotated[str, Field(pattern=f"^{TOOL_NAME.pattern}$")]
ToolName = Annotated[str, Field(pattern=f"^{TOOL_NAME.pattern}$")]
PlatformName = Annotated[str, Field(pattern=r"^linux-[a-z0-9_]{1,20}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="what the download must be; 64 hex digits")]
_OF_PACKAGERS = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "386": "i686"}
"""The kernel's word for a machine, by a word in the names of downloads."""

Url = Annotated[str, Field(min_length=1, description="a template over version, platform and arch")]
Bin = Annotated[
    Annotated[tuple[CommandName, ...], Field(strict=False, min_length=1)]
    | dict[CommandName, Annotated[str, Field(min_length=1)]],
    Field(description="commands; or by command, where it lies in the archive or what the Python script is called"),
]


class Platform(ExactlyWritten):
    arch: str | None = None
    """the word for it in the URL [the platform's own]"""
    url: Url | None = None
    sha256: Sha256 | None = None


class Archive(ExactlyWritten):
    """An archive or a single binary."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$"), BeforeValidator(_text)]
    url: Url | None = None
    platforms: Annotated[dict[PlatformName, Platform | None], Field(min_length=1)]
    """linux-<machine>, as `uname -m` says it: linux-x86_64, linux-aarch64"""
    bin: Bin


class Python(ExactlyWritten):
    """A Python distribution in an environment of its own."""

    pip: str
    """the distribution, with extras: httpie[socks]"""
    version: Version | None = None
    """exact, a pattern (0.6.*) or a specifier (>=1,<2) [any]"""
    bin: Bin | None = None


def read_tools(source: Source, complaints: Complaints) -> dict[str, DeclaredTool]:
    """The tools of an inventory by name. Mistakes go to ``complaints``."""
    root = source.mapping(TOOLS_FILE, complaints, "write `ripgrep: {version: …}` and the like")
    found: dict[str, DeclaredTool] = {}
    for name, node in root.values.items() if root is not None else ():
        position = root.keys[name] if root is not None else node.position
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            remedy = "letters, digits and . _ + -, 64 at most, a letter or digit first"
            complaints.add(position, (), f'"{name}" is not a name for a tool', remedy)
            continue
        with complaints.of(node, (name,)):
            if (tool := _tool(name, position, node, complaints)) is not None:
                found[name] = tool
    return found


def _tool(name: str, position: Position, node: Node, complaints: Complaints) -> DeclaredTool | None:
    """The tool that ``node`` describes; None after a complaint. Raises Mistake."""
    if not isinstance(node, Map):
        raise Mistake("a mapping is expected", "with version, url, platforms and bin, or with pip")
    if {"pip", "url"} <= node.values.keys():
        raise Mistake("a tool comes from pip or from a URL, and both are named", "leave one of the two out", ("url",))
    if "pip" in node.values or ("url" not in node.values and near("pip", map(str, node.values))):
        python = validation.validated(Python, node, complaints, path=(name,))
        return None if python is None else _python(name, position, python)
    archive = validation.validated(Archive, node, complaints, path=(name,))
    return None if archive is None else _archive(name, position, archive)


def _python(name: str, position: Position, written: Python) -> PythonTool:
    faults = []
    distribution = _DISTRIBUTION.fullmatch(written.pip)
    if distribution is None:
        remedy = "a name, perhaps with [extras]; the version stands under version"
        faults.append(Fault(f'"{written.pip}" is not the name of a distribution', remedy, ("pip",)))
    version = (written.version or "").strip()
    if version and not (_SPECIFIER.fullmatch(version) or _BARE_VERSION.fullmatch(version)):
        faults.append(Fault(f'"{version}" is not a version', "for example 0.6.9, 0.6.* or >=0.6,<0.7", ("version",)))
    if distribution is None or faults:
        raise Mistake.of(faults)
    exact = "==" if version and _BARE_VERSION.fullmatch(version) else ""
    requirement = f"{written.pip}{exact}{version}".replace(" ", "")
    return PythonTool(name, distribution["name"], requirement, _by_command(written.bin), position)


def _archive(name: str, position: Position, written: Archive) -> ArchiveTool:
    assets: dict[str, WantedAsset] = {}
    faults: list[Fault] = []
    for platform, said in sorted(written.platforms.items()):
        try:
            assets[platform] = _asset(written, platform, said or Platform())
        except Mistake as mistake:
            faults += mistake.faults
    if faults:
        raise Mistake.of(faults)
    found = frozenset(written.bin) if isinstance(written.bin, tuple) else frozenset[str]()
    return ArchiveTool(name, written.version, assets, found, position)


def _asset(written: Archive, platform: str, said: Platform) -> WantedAsset:
    machine = platform.removeprefix("linux-")
    if (known := _OF_PACKAGERS.get(machine)) is not None:
        problem, remedy = f"`uname -m` says {known} on such a machine", f"write linux-{known}, with arch: {machine}"
        raise Mistake(problem, f"{remedy} for the URL", ("platforms", platform))
    template = said.url or written.url
    if template is None:
        raise Mistake(f"there is no URL for {platform}", "write `url: https://…`", ("platforms", platform))
    words = {"version": written.version, "platform": platform, "arch": said.arch or machine}
    own: KeyPath = ("platforms", platform, "url") if said.url is not None else ("url",)
    faults: list[Fault] = []

    def filled_in(template: str, path: KeyPath, checked: Callable[[str], str]) -> str:
        try:
            return checked(_RENDERER.text(template, words, Position(TOOLS_FILE)))
        except TemplateProblem as error:
            faults.append(Fault(error.problem, error.remedy, path))
        except Mistake as mistake:
            faults.extend(mistake.below(*path))
        return ""

    url = filled_in(template, own, checked_url)
    paths = _by_command(written.bin)
    paths = {command: filled_in(path, ("bin", command), checked_path) for command, path in paths.items()}
    if faults:
        raise Mistake.of(faults)
    return WantedAsset(url, said.sha256, paths)


def _by_command(written: tuple[str, ...] | dict[str, str] | None) -> dict[str, str]:
    return dict(written) if isinstance(written, dict) else {command: command for command in written or ()}
