"""One change of one resource: what differs, in words and as a diff, and the function that makes it as wanted; and the
deploys that find such changes. No pyinfra in here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from agent.deploys.at_path import CONTENT_LIMIT
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError, HostwrightError
from agent.system.files import in_words

DIFF_LIMIT = 64 * 1024
"""The most characters of a diff that are kept. Who needs more of it looks at the files."""

TEXT_LIMIT = 256 * 1024
"""The most bytes of a text that is compared line by line. For more, comparing takes long, and nobody reads the
result."""


class Correction:
    """A ``change``, and the ``function`` that makes it. If the function returns a text, that becomes the ``output``.

    ``is_done``: returns True if the change was made already, together with another one.

    ``seconds``, ``done``, ``output`` and ``error`` are set by ``run``. The engine sets ``allowed`` on each correction
    of a deploy that may run before it runs the first, so that those which are carried out together (packages, by one
    apt) know who takes part.
    """

    def __init__(
        self,
        change: WantedChange,
        function: Callable[..., object],
        *args: object,
        is_done: Callable[[], bool] = lambda: False,
    ) -> None:
        self.change = change
        self.is_done = is_done
        self.allowed = False
        self.done = False
        self.seconds = 0.0
        self.output = ""
        self.error = ""
        self._function = function
        self._args = args

    def run(self) -> None:
        """Make the change. Raises what the function raises, after noting it in ``error``."""
        begun = time.monotonic()
        try:
            told = self._function(*self._args)
            self.output = told if isinstance(told, str) else ""
            self.done = True
        except HostwrightError as error:
            self.error = error.full_text
            raise
        except OSError as error:
            self.error = in_words(error)
            raise
        except Exception as error:
            self.error = f"{error}" or type(error).__name__
            raise
        finally:
            self.seconds = time.monotonic() - begun


class HostSide(Protocol):
    """The host's side of a built-in deploy.

    It may also have ``narrow``, as ``tree`` has: that picks the items to look at again in a cycle. Without it the whole
    deploy is looked at again.
    """

    def corrections(self, arguments: Mapping[str, JSON], root: Path, /) -> Sequence[Correction]:
        """The correction of each resource that is not as it should be. ``root``: the folder of the commit's files.
        Raises DeployError, OSError."""
        ...

    def questions(self, arguments: Mapping[str, JSON], /) -> Iterable[Question]:
        """The questions that ``corrections`` rests on. Raises UnsignedError where no questions cover it, DeployError,
        OSError."""
        ...


@cache
def host_side(deploy: str) -> HostSide:
    """The host's side of the built-in ``deploy``: the module ``host`` of its folder. A deploy without one wants items
    and nothing else, so ``tree`` looks at them."""
    module = f"agent.deploys.{deploy}.host"
    try:
        return cast("HostSide", import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
    return cast("HostSide", import_module("agent.deploys.tree"))


def refusal(key: str, error: DeployError) -> Correction:
    """A correction that fails with ``error``, for the resource ``key``, which cannot be made as wanted. Its deploy
    fails, but the deploy's other resources are put right all the same."""
    return Correction(WantedChange(key, f"cannot be done: {error.message}", refused=True), _refuse, error)


def each_alone(looks: Mapping[str, Callable[[], Correction | None]]) -> list[Correction]:
    """The corrections that ``looks`` find; each look stands under the key of its resource. One that raises DeployError
    or OSError makes a refusal of its resource alone. Refused changes come last."""
    found: list[Correction] = []
    for key, look in looks.items():
        try:
            found += filter(None, [look()])
        except (DeployError, OSError) as error:
            found.append(refusal(key, as_deploy_error(error)))
    return sorted(found, key=lambda correction: correction.change.refused)


def as_deploy_error(error: DeployError | OSError) -> DeployError:
    return error if isinstance(error, DeployError) else DeployError(in_words(error))


def _refuse(error: DeployError) -> None:
    raise error


def unified(path: str, before: bytes | None, after: bytes, *, around: int = 3) -> str:
    """A unified diff of at most about ``DIFF_LIMIT`` characters; only the sizes if either content is no text, or above
    ``TEXT_LIMIT``. ``before`` is None if it was too large to be read. ``around``: the number of unchanged lines
    shown."""
    if before is None:
        return f"more than {CONTENT_LIMIT} → {len(after)} bytes\n"
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"binary, {len(before)} → {len(after)} bytes\n"
    if max(len(before), len(after)) > TEXT_LIMIT:
        return f"text, {len(before)} → {len(after)} bytes\n"
    text = ""
    for line in _compared(old, new, f"{path} (found)", f"{path} (wanted)", around):
        text += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if len(text) > DIFF_LIMIT:
            return f"{text[:DIFF_LIMIT]}\n… (cut at {DIFF_LIMIT} characters)\n"
    return text


def _compared(old: list[str], new: list[str], found: str, wanted: str, around: int) -> Iterable[str]:
    """``difflib.unified_diff``. If one side is empty, as with each new file, there is no search for common lines: that
    takes 0.09 ms for 1,000 lines."""
    if bool(old) == bool(new):
        import difflib  # 1 ms, which a host in sync does not need

        return difflib.unified_diff(old, new, found, wanted, n=around)
    sign, sides = ("-", f"-{_range(old)} +0,0") if old else ("+", f"-0,0 +{_range(new)}")
    return [f"--- {found}\n", f"+++ {wanted}\n", f"@@ {sides} @@\n", *(f"{sign}{line}" for line in old or new)]


def _range(lines: list[str]) -> str:
    return "1" if len(lines) == 1 else f"1,{len(lines)}"


def _lines(content: bytes) -> list[str] | None:
    if b"\0" in content:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
