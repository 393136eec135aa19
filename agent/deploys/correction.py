"""One change of one resource: what differs, and the function that makes it as wanted; and the deploys that find such
changes. No pyinfra in here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError, HostwrightError


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
    return error if isinstance(error, DeployError) else DeployError(f"{error}")


def _refuse(error: DeployError) -> None:
    raise error
