"""One change of one resource inside an operation of ours: the bridge from a bulk operation to single changes.

pyinfra judges whole operations. One operation that looks at a thousand files with one fact is a hundred times
faster than a thousand operations, but then "the operation changed" says too little. Ours yield a ``Correction`` for
each resource that is not as it should be; the engine reads them one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

from pyinfra.api.command import FunctionCommand
from pyinfra.api.operation import operation

from agent.domain.plan import WantedChange
from agent.errors import DeployError, HostwrightError


class Correction(FunctionCommand):
    """``change`` described, and the function that makes it so; a text that it returns is what it has to tell.
    ``seconds``, ``done``, ``output`` and ``error`` are set as it runs.

    The engine sets ``allowed`` on each of an operation's corrections that may run before it runs the first of them,
    so that those which are carried out together (packages, by one apt) know who takes part.
    """

    def __init__(self, change: WantedChange, function: Callable[..., object], *args: object) -> None:
        super().__init__(self._timed(function), list(args), {})
        self.change = change
        self.allowed = False
        self.done = False
        self.seconds = 0.0
        self.output = ""
        self.error = ""

    def _timed(self, function: Callable[..., object]) -> Callable[..., None]:
        def run(*args: object) -> None:
            begun = time.monotonic()
            try:
                told = function(*args)
                self.output = told if isinstance(told, str) else ""
                self.done = True
            except HostwrightError as error:
                self.error = f"{error.message} ({error.hint})" if error.hint else error.message
                raise
            except Exception as error:
                self.error = f"{error}" or type(error).__name__
                raise
            finally:
                self.seconds = time.monotonic() - begun

        return run


def refusal(key: str, error: DeployError) -> Correction:
    """A resource that cannot be made as wanted, as a change that fails with the reason: it keeps no other resource of
    its deploy from being put right, and the deploy has failed all the same."""
    return Correction(WantedChange(key, f"cannot be done: {error.message}", refused=True), _refuse, error)


def _refuse(error: DeployError) -> None:
    raise error


def correct(name: str, corrections: Sequence[Correction]) -> None:
    """Adds one operation to the deploy that is being prepared: these corrections, found by looking once.

    One that fails does not keep the others from being made; the operation, and so its deploy, has failed all the same.
    """
    _corrected(corrections=corrections, name=name, _continue_on_error=True)


@operation()
def _corrected(corrections: Sequence[Correction]) -> Generator[Correction, None, None]:
    yield from corrections
