"""Pins of Python tools: uv resolves a requirement for every platform at once, with the hash of every file."""

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
"""The oldest Python of a host: a lock for it works on all hosts, and is the same on whichever machine it is made."""
PLATFORM = "x86_64-manylinux_2_28"
"""The platform whose wheel is searched for scripts; they have the same names on every platform."""
TIMEOUT_S = 600.0

_NETWORK = re.compile(
    r"failed to fetch|error sending request|connect|timed out|dns|certificate|\b[45]\d\d\b", re.IGNORECASE
)
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?==[^ ;]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+$")
_INDEX = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
"""pip's variables and uv's that mean the same. uv gets the value of pip's variable unless its own is set."""
_REPLACING = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Variables that name an index instead of the public one."""


def require_named_index() -> None:
    """Raise SettingsError unless a variable names an index *instead of* the public one. An index beside the public one
    is not enough: whoever registered the agent's name on the public index would become root on every host."""
    if not any(os.environ.get(name) for name in _REPLACING):
        raise SettingsError(
            "which package index has the agent? nobody named one to ask instead of the public one",
            hint="UV_DEFAULT_INDEX=https://… hostwright lock, where that index has all that the agent needs",
        )


def pin_python(tool: PythonTool, work: Path) -> ToolPin:
    """The pin of ``tool``: its version, its scripts, and every requirement with its hashes. ``work``: a private folder.

    Raises SettingsError if uv is not installed, SourceError if no index answers, InventoryError if there is no such
    version, no wheel or no such script.
    """
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
    """The requirements that uv resolves ``tool`` to, each on one line with its hashes."""
    argv = [
        *("pip", "compile", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
        *("--only-binary", ":all:"),
        *("--python-version", PYTHON, "--no-emit-index-url", "--no-emit-find-links", "-"),
    ]
    done = _uv(tool, argv, work, f"{tool.requirement}\n")
    text = done.output.decode().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))]


def _scripts(tool: PythonTool, lines: list[str], work: Path) -> list[str]:
    """The scripts that the distribution itself puts on PATH. Only wheels are installed: nothing is built or run."""
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
    plain = re.sub(r"[^\x21-\x7e]+", " ", done.error.decode(errors="replace"))  # without the lines and arrows around it
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
    """The environment of uv: that of the person who runs this, whose index, proxy and certificates count."""
    told = {ours: os.environ[theirs] for theirs, ours in _INDEX.items() if theirs in os.environ}
    return {"UV_SYSTEM_CERTS": "1", **told, **os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
