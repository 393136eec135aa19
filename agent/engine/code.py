"""Deploy files: run as ``pyinfra @local deploys/x.py`` runs them, with the place in them where an error came from."""

from __future__ import annotations

import os
import re
import sys
import traceback
from pathlib import Path

from agent.engine.commit_files import keep_unwritten
from agent.errors import Consequence, DeployError, HostwrightError

_AGENT = Path(__file__).resolve().parent.parent
_OURS = frozenset(sys.modules)
"""The modules that were loaded before any deploy code."""
_WANTS_MORE = re.compile(
    r"permission ?denied|permissionerror|not permitted|read-only file system|not allowed|superuser"
    r"|must be (run as )?root|no new privileges|effective uid is not 0|nosuid|authenticat|access denied|are you root"
    r"|could not resolve|name resolution|network is unreachable|failed to connect|unable to access",
    re.IGNORECASE,
)
_entered: list[str] = []
"""Folders that deploy code was imported from."""


class UnpreparedError(Exception):
    """A deploy cannot be prepared. The message is one line with the place and the reason."""


def enter(root: Path, folder: Path) -> None:
    """Make ``folder``, of the repository at ``root``, the working directory, and put both on the import path behind
    Python's own folders.

    Modules imported from this or another repository before are forgotten: operations at the top of a shared module
    belong to every deploy that imports it, and two repositories may have modules of one name.
    """
    os.chdir(folder)
    _entered.append(f"{root}")
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        below = any(place and Path(place).is_relative_to(root) for place in places for root in _entered)
        if name not in _OURS and below:
            del sys.modules[name]
    sys.path[:] = [place for place in sys.path if not any(Path(place).is_relative_to(root) for root in _entered)]
    sys.path += dict.fromkeys((f"{folder}", f"{root}"))
    _entered[:] = [f"{root}"]
    keep_unwritten(root)


def repository() -> Path:
    """The root of the repository that deploy code runs from."""
    return Path(_entered[-1])


def run_file(path: Path) -> dict[str, object]:
    """Run a Python file of the repository in a namespace of its own, and return the namespace. Raises DeployError for a
    path that leads out of the repository, and whatever the file raises."""
    root = repository()
    name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if not path.resolve().is_relative_to(root.resolve()):
        raise DeployError(f"{name} leads out of its repository", consequence=Consequence.STALL)
    code = compile(path.read_bytes(), name, "exec")
    namespace: dict[str, object] = {"__file__": os.path.relpath(path)}
    exec(code, namespace)  # noqa: S102  # running deploy files is what this is for
    namespace.pop("__builtins__", None)
    return namespace


def misses_something(error: BaseException | None) -> bool:
    """True where ``error`` says that a file or a module is not there."""
    return isinstance(error, ModuleNotFoundError) or (
        (isinstance(error, OSError) and "No such" in str(error)) or type(error).__name__ == "TemplateNotFound"
    )


def explain(error: BaseException, root: Path, complaints: list[str]) -> str:
    """One line: the innermost place in deploy code that ``error`` passed, and its message.

    ``complaints``: the warnings and errors that pyinfra logged. They are the message of a failed fact, whose exception
    only says that no host is left.
    """
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, HostwrightError):
        return one_line(error.full_text)
    if isinstance(error, SystemExit):
        what = f"it ended the program (SystemExit: {error.code})"
    elif is_no_hosts(error) and complaints:
        what = "; ".join(complaints)
    elif isinstance(error, ModuleNotFoundError):
        what = f"{error}: deploys run with Python's library, pyinfra and what lies in their repository"
    elif misses_something(error):
        what += " (paths count from the root of the repository, or all of them from the deploy file's own folder)"
    if isinstance(error, SyntaxError) and error.filename and (place := _place(error.filename, root)):
        return one_line(f"{place}:{error.lineno}: {type(error).__name__}: {error.msg}")
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = [f"{place}:{frame.lineno}: " for frame in frames if (place := _place(frame.filename, root))]
    of_repository = (place for place in places if not place.startswith(f"{_AGENT.name}/"))
    return one_line(next(of_repository, "".join(places[:1])) + what)


def hinted(complaint: str) -> str:
    """A complaint of a confined plan, with ``plan: privileged`` as the remedy where it seems that a right was
    lacking."""
    if not _WANTS_MORE.search(complaint) or "`plan: privileged`" in complaint:
        return complaint
    return f"give this deploy `plan: privileged` if it cannot look without more, for a plan may only look: {complaint}"


def is_no_hosts(error: BaseException) -> bool:
    """True for the error by which pyinfra says that something failed on its only host."""
    return type(error).__name__ == "PyinfraError" and str(error) == "No hosts remaining!"


def one_line(text: str) -> str:
    return " ".join(text.split())[:2000]


def _place(filename: str, root: Path) -> str | None:
    """``filename`` as people know it, if it is code of the repository at ``root`` or of a built-in deploy; else
    None."""
    if filename.startswith("<"):
        return None
    path = root / filename
    if path.is_relative_to(root):
        return str(path.relative_to(root))
    if path.is_relative_to(_AGENT / "deploys"):
        return str(path.relative_to(_AGENT.parent))
    return None
