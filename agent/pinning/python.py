"""Python tools into pins: uv resolves a requirement for every platform at once, with the hash of every file."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agent.domain.pins import TOOL_NAME, ToolPin
from agent.domain.text import printable
from agent.errors import InventoryError, SettingsError, SourceError
from agent.inventory.tools import PythonTool
from agent.problems import ProblemKind
from agent.system.process import Completed, run

PYTHON = "3.11"
"""The oldest Python of a host, so that what is locked works on all of them, and is the same wherever it is locked."""
PLATFORM = "x86_64-manylinux_2_28"
"""Whose wheel is looked into for its scripts; they have the same names everywhere."""
TIMEOUT_S = 600.0

_NETWORK = re.compile(
    r"failed to fetch|error sending request|connect|timed out|dns|certificate|\b[45]\d\d\b", re.IGNORECASE
)
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?==[^ ;]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+$")
_INDEX = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
"""What pip is told by its variables, uv is told too, unless it is told otherwise."""
_REPLACING = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Each names an index that takes the place of the public one."""


def require_named_index() -> None:
    """Raises SettingsError where nobody has said which index is asked *instead of* the public one: whoever takes the
    agent's name there would become root everywhere. What is asked besides does not keep that one out."""
    if not any(os.environ.get(name) for name in _REPLACING):
        raise SettingsError(
            "which package index has the agent? nobody named one to ask instead of the public one",
            hint="UV_DEFAULT_INDEX=https://… hostwright lock, where that index has all that the agent needs",
        )


def pin_python(tool: PythonTool, work: Path) -> ToolPin:
    """Works in the private folder ``work``. Raises SettingsError without uv, SourceError when no index answers,
    InventoryError for what there is no version of, or no such script."""
    lines = _compiled(tool, work)
    for line in lines:
        if not _RELEASE.match(line):
            raise InventoryError(
                f"{tool.position}: {tool.name}: {tool.requirement} needs {printable(line, 80)}, which is no release",
                hint="only wheels of a package index can be pinned by their hashes",
            )
    own = canonicalize_name(tool.distribution)
    named = [line for line in lines if canonicalize_name(_requirement(line).name) == own]
    scripts = _scripts(tool, named, work)
    commands = dict(tool.bin) or {script: script for script in scripts}
    lacking = next((command for command, script in commands.items() if script not in scripts), "")
    if lacking or not commands:
        raise InventoryError(
            f"{tool.position}: {tool.name}: {tool.distribution} has no {f'script {lacking}' if lacking else 'scripts'}",
            hint=f"it has {', '.join(scripts)}" if scripts else "it is a library",
        )
    (version,) = _requirement(named[0]).specifier
    return ToolPin(tool.name, version.version, commands, requirements=tuple(sorted(lines)))


def _requirement(line: str) -> Requirement:
    return Requirement(line.partition(" --hash")[0])


def _compiled(tool: PythonTool, work: Path) -> list[str]:
    """The requirements, each one line with its hashes."""
    argv = [
        *("pip", "compile", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
        *("--only-binary", ":all:"),
        *("--python-version", PYTHON, "--no-emit-index-url", "--no-emit-find-links", "-"),
    ]
    done = _uv(tool, argv, work, f"{tool.requirement}\n")
    text = done.output.decode().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))]


def _scripts(tool: PythonTool, lines: list[str], work: Path) -> list[str]:
    """The scripts that the distribution itself puts on PATH. Only wheels are looked into: nothing is built or run."""
    target = work / f"{tool.name}-scripts"
    argv = [
        *("pip", "install", "--quiet", "--target", f"{target}", "--no-deps", "--only-binary", ":all:"),
        *("--require-hashes", "--python-version", PYTHON, "--python-platform", PLATFORM, "-r", "-"),
    ]
    _uv(tool, argv, work, "\n".join(lines) + "\n")
    scripts = sorted(path.name for path in (target / "bin").glob("*") if TOOL_NAME.fullmatch(path.name))
    shutil.rmtree(target, ignore_errors=True)
    return scripts


def _uv(tool: PythonTool, arguments: list[str], work: Path, requirements: str) -> Completed:
    done = run([_program(), *arguments], timeout_s=TIMEOUT_S, input=requirements.encode(), env=_environment(), cwd=work)
    if done.ok:
        return done
    plain = re.sub(r"[^\x21-\x7e]+", " ", done.error.decode(errors="replace"))  # without its frames of lines and arrows
    what = printable(plain.strip(), 600)
    if done.timed_out or _NETWORK.search(what):
        raise SourceError(
            f"{tool.name}: {what}", kind=ProblemKind.INDEX_UNREACHABLE, hint="can this machine reach the package index?"
        )
    raise InventoryError(
        f"{tool.position}: {tool.name}: {tool.requirement} cannot be locked: {what}",
        hint="correct pip and version in tools.yaml; only wheels are taken",
    )


def _program() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = f"{beside}" if os.access(beside, os.X_OK) else shutil.which("uv")
    if found is None:
        raise SettingsError("uv is not installed, which resolves tools from pip", hint="pip install uv")
    return found


def _environment() -> Mapping[str, str]:
    """The environment of the person who runs this, whose index, proxy and certificates count."""
    told = {ours: os.environ[theirs] for theirs, ours in _INDEX.items() if theirs in os.environ}
    return {"UV_SYSTEM_CERTS": "1", **told, **os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
