"""Corrections as an operation of pyinfra: the bridge from a bulk operation to single changes.

pyinfra judges whole operations. One operation that looks at a thousand files at once is a hundred times faster than a
thousand operations, but then "the operation changed" says too little. This one yields a command for each correction;
the engine reads them one by one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api.command import FunctionCommand
from pyinfra.api.operation import operation

from agent.deploys.correction import Correction


class CorrectionCommand(FunctionCommand):
    """A ``correction`` as pyinfra runs it."""

    def __init__(self, correction: Correction) -> None:
        super().__init__(correction.run, [], {})
        self.correction = correction


def correct(name: str, corrections: Sequence[Correction]) -> None:
    """Adds one operation to the deploy that is being prepared: these corrections, found by looking once.

    One that fails does not keep the others from being made. The operation, and so its deploy, has failed all the same.
    """
    _corrected(corrections=corrections, name=name, _continue_on_error=True)


@operation()
def _corrected(corrections: Sequence[Correction]) -> Generator[CorrectionCommand, None, None]:
    for correction in corrections:
        yield CorrectionCommand(correction)
