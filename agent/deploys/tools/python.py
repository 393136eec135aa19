"""Python tools: hash-locked requirements turned into an environment of their own, on this host's Python.

The uv beside the agent builds the environment, so the host needs no pip and no python3-venv. The environment is
relocatable, as it is built aside. Only wheels are taken: building anything else runs code that no hash vouches for.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from functools import partial
from pathlib import Path

from agent.errors import Consequence, DeployError, SourceError
from agent.problems import ProblemKind
from agent.system.process import Completed, run

_PATH = "/usr/bin:/bin:/usr/local/bin"
PLACES = tuple(f"{folder}/python3" for folder in _PATH.split(":"))
"""The paths at which a host's own Python may be, the distribution's first."""

_MAKE_TIMEOUT_S = 60.0
_INSTALL_TIMEOUT_S = 900.0
_HTTP_TIMEOUT_S = "60"

_LINE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]\s]*\])?\s*==\s*[^\s;]+(\s*;.*?)?([\s\\]+--hash=sha256:[0-9a-f]{64})+", re.DOTALL
)
"""``name==1.0 ; marker --hash=sha256:…``: pinned, hashed, and no option or URL in its place."""

_UV_CONFIG = Path("/etc/uv/uv.toml")
_PIP_CONFIG = Path("/etc/pip.conf")

_KEPT_LINES = 12
_PASSED_ON = re.compile(
    r"(?i)(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|SSL_CLIENT_CERT"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST)"
)
"""Variables that say how this machine reaches an index."""


def interpreter() -> str:
    """The path of the host's Python, all links followed (``/usr/bin/python3.11``); empty if there is none."""
    found = shutil.which("python3", path=_PATH)
    return os.path.realpath(found) if found else ""


def build(folder: Path, requirements: Iterable[str]) -> str:
    """Build an environment with exactly ``requirements`` in the empty ``folder``. Returns the path of its interpreter.

    Raises DeployError if this host cannot have one, SourceError if a wheel cannot be had or is another than was pinned,
    OSError.
    """
    lines = list(requirements)
    for line in lines:
        if not _LINE.fullmatch(line.strip()):
            raise DeployError(
                f"{line.split(' --hash')[0]!r} is not a requirement with version and hashes",
                hint="run `hostwright lock` in the config repo",
                consequence=Consequence.STALL,
            )
    found = shutil.which("python3", path=_PATH)
    if found is None:
        raise DeployError("this host has no python3", hint="install it with a packages deploy before this one")
    uv = partial(_uv, temporary=folder.parent)
    made = uv("venv", "--python", found, "--relocatable", "--allow-existing", f"{folder}", timeout_s=_MAKE_TIMEOUT_S)
    if not made.ok:
        raise DeployError(f"no Python environment: {_told(made)}", hint=f"does {found} work?")
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{line}\n" for line in lines))
    strict = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
    into = ("--python", f"{folder}/bin/python", "--compile-bytecode")
    done = uv("pip", "install", *strict, *into, "--requirements", f"{wanted}", timeout_s=_INSTALL_TIMEOUT_S)
    if not done.ok:
        raise SourceError(
            _told(done),
            kind=ProblemKind.DOWNLOAD_FAILED,
            hint="only wheels with a pinned hash are taken; can this host reach its index (UV_DEFAULT_INDEX)?",
        )
    return os.path.realpath(found)


def _uv(*arguments: str, temporary: Path, timeout_s: float) -> Completed:
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        raise DeployError(
            f"there is no {program}",
            hint="the agent's environment is damaged: run bootstrap.sh again",
            kind=ProblemKind.ENGINE,
        )
    own = {
        "PATH": _PATH,
        "HOME": f"{temporary}",  # root's own configuration is not the host's
        "LC_ALL": "C.UTF-8",
        "TMPDIR": f"{temporary}",
        "UV_NO_CACHE": "1",  # the store of tools is the cache
        "UV_NO_PROGRESS": "1",
        "UV_SYSTEM_CERTS": "1",  # these certificates include the company's authority
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": _HTTP_TIMEOUT_S,
    }
    argv = [f"{program}", *arguments]
    return run(argv, timeout_s=timeout_s, env={**_ways(os.environ), **own}, cwd=Path("/"))


def _ways(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv the way to the package index, from the environment ``given`` or pip's configuration.
    /etc/uv/uv.toml, which uv reads itself, counts more than /etc/pip.conf."""
    ways = {name: value for name, value in given.items() if _PASSED_ON.fullmatch(name)}
    if "UV_DEFAULT_INDEX" not in ways and "UV_INDEX_URL" not in ways:
        pip = ConfigParser(interpolation=None)
        with contextlib.suppress(ConfigParserError, UnicodeDecodeError, OSError):
            if not _UV_CONFIG.exists():
                pip.read(_PIP_CONFIG)
        index = given.get("PIP_INDEX_URL") or pip.get("global", "index-url", fallback="")
        if index:
            ways["UV_DEFAULT_INDEX"] = index
    return ways


def _told(done: Completed) -> str:
    """The end of uv's own words, several lines: a complaint about a wrong hash takes as many."""
    if done.timed_out:
        return "not done in time"
    lines = [line.strip() for line in done.error.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_KEPT_LINES:]) or done.complaint
