"""tools.yaml: the sources of tools; ``hostwright lock`` turns them into pins.

An archive or a binary has a URL for each platform, made from a template over ``version``, ``platform`` and ``arch``. A
tool written in Python has the name of its distribution. Hosts and variables are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from agent.deploys.written import ExactlyWritten
from agent.domain.fault import Mistake, Path
from agent.domain.pins import TOOL_NAME
from agent.inventory import validation
from agent.inventory.complaint import Complaints
from agent.inventory.source import Source
from agent.inventory.template.render import Renderer, TemplateProblem
from agent.system.yaml import Map, Node, Position, locate

TOOLS_FILE = "tools.yaml"

_DISTRIBUTION = re.compile(
    r"(?P<name>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(\[[A-Za-z0-9._-]+(,\s*[A-Za-z0-9._-]+)*\])?"
)
_CLAUSE = r"\s*(===?|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*"
_SPECIFIER = re.compile(rf"{_CLAUSE}(,{_CLAUSE})*")
_BARE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]*(\.\*)?")
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

    @property
    def exact(self) -> bool:
        """Whether it asks for one version."""
        return True


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
        """Whether it asks for one version."""
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
"""Words for machines in the names of downloads, with the kernel's."""

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


def tools_schema() -> dict[str, Any]:
    """The JSON Schema of tools.yaml, without its heading."""
    definitions: dict[str, Any] = {}
    for model in (Archive, Python):
        own = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= own.pop("$defs", {}) | {model.__name__: own}
    either = {"oneOf": [{"$ref": "#/$defs/Archive"}, {"$ref": "#/$defs/Python"}]}
    return {
        "title": TOOLS_FILE,
        "type": ["object", "null"],
        "patternProperties": {f"^{TOOL_NAME.pattern}$": either},
        "additionalProperties": False,
        "$defs": definitions,
    }


def read_tools(source: Source, complaints: Complaints) -> dict[str, DeclaredTool]:
    """The tools of an inventory by name. Mistakes go to ``complaints``."""
    root = source.mapping(TOOLS_FILE, complaints, "write `ripgrep: {version: …}` and the like")
    if root is None:
        return {}
    reader = _Reader(complaints)
    found = (reader.tool(name, root.keys[name], node) for name, node in root.values.items())
    return {tool.name: tool for tool in found if tool is not None}


class _Reader:
    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._renderer = Renderer()

    def tool(self, name: object, position: Position, node: Node) -> DeclaredTool | None:
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            remedy = "letters, digits and . _ + -, 64 at most, a letter or digit first"
            self._complaints.add(position, (), f'"{name}" is not a name for a tool', remedy)
            return None
        if not isinstance(node, Map):
            self._complaints.add(
                node.position, (name,), "a mapping is expected", "with version, url, platforms and bin, or with pip"
            )
            return None
        if {"pip", "url"} <= node.values.keys():
            problem = "a tool comes from pip or from a URL, and both are named"
            self._complaints.add(node.keys["url"], (name, "url"), problem, "leave one of the two out")
            return None
        if "pip" in node.values:
            python = validation.validated(Python, node, self._complaints, path=(name,))
            return None if python is None else self._python(name, position, node, python)
        archive = validation.validated(Archive, node, self._complaints, path=(name,))
        return None if archive is None else self._archive(name, position, node, archive)

    def _python(self, name: str, position: Position, node: Map, written: Python) -> PythonTool | None:
        distribution = _DISTRIBUTION.fullmatch(written.pip)
        if distribution is None:
            remedy = "a name, perhaps with [extras]; the version stands under version"
            self._add(name, node, ("pip",), f'"{written.pip}" is not the name of a distribution', remedy)
        version = (written.version or "").strip()
        if version and not (_SPECIFIER.fullmatch(version) or _BARE_VERSION.fullmatch(version)):
            remedy = "for example 0.6.9, 0.6.* or >=0.6,<0.7"
            self._add(name, node, ("version",), f'"{version}" is not a version', remedy)
        elif distribution is not None:
            exact = "==" if version and _BARE_VERSION.fullmatch(version) else ""
            requirement = f"{written.pip}{exact}{version}".replace(" ", "")
            return PythonTool(name, distribution["name"], requirement, _by_command(written.bin), position)
        return None

    def _archive(self, name: str, position: Position, node: Map, written: Archive) -> ArchiveTool | None:
        assets = {}
        for platform, said in sorted(written.platforms.items()):
            asset = self._asset(name, node, written, platform, said or Platform())
            if asset is not None:
                assets[platform] = asset
        if len(assets) < len(written.platforms):
            return None
        found = frozenset(written.bin) if isinstance(written.bin, tuple) else frozenset[str]()
        return ArchiveTool(name, written.version, assets, found, position)

    def _asset(self, name: str, node: Map, written: Archive, platform: str, said: Platform) -> WantedAsset | None:
        if (machine := platform.removeprefix("linux-")) in _OF_PACKAGERS:
            known = f"linux-{_OF_PACKAGERS[machine]}"
            problem = f"`uname -m` says {_OF_PACKAGERS[machine]} on such a machine"
            self._add(name, node, ("platforms", platform), problem, f"write {known}, with arch: {machine} for the URL")
            return None
        own: Path = ("platforms", platform, "url") if said.url is not None else ("url",)
        template = said.url or written.url
        if template is None:
            self._add(name, node, ("platforms", platform), f"there is no URL for {platform}", "write `url: https://…`")
            return None
        words = {"version": written.version, "platform": platform, "arch": said.arch or platform.partition("-")[2]}
        url = self._rendered(name, node, own, template, words)
        paths = {
            command: self._rendered(name, node, ("bin", command), path, words)
            for command, path in _by_command(written.bin).items()
        }
        if url is None or None in paths.values():
            return None
        place = own
        try:
            checked_url(url)
            for command, path in paths.items():
                place = ("bin", command)
                checked_path(path or "")
        except Mistake as mistake:
            self._add(name, node, place, mistake.message, mistake.hint)
            return None
        return WantedAsset(url, said.sha256, {command: path or "" for command, path in paths.items()})

    def _rendered(self, name: str, node: Map, path: Path, template: str, words: Mapping[str, str]) -> str | None:
        try:
            return self._renderer.text(template, words, locate(node, path))
        except TemplateProblem as error:
            self._complaints.add(error.position, (name, *path), error.problem, error.remedy)
        return None

    def _add(self, name: str, node: Map, path: Path, problem: str, remedy: str) -> None:
        self._complaints.add(locate(node, path), (name, *path), problem, remedy)


def _by_command(written: tuple[str, ...] | dict[str, str] | None) -> dict[str, str]:
    return dict(written) if isinstance(written, dict) else {command: command for command in written or ()}
