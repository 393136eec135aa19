"""Corrections as an operation of pyinfra: the bridge from a bulk operation to single changes.

pyinfra judges whole operations. One operation that looks at a thousand files at once is a hundred times faster than a
thousand operations, but then "the operation changed" says too little. This one yields a command for each correction;
the engine reads them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation

from agent.deploys.correction import Correction
from agent.errors import DeployError


class CorrectionCommand(FunctionCommand):
    """A ``correction`` as pyinfra runs it. One that fails does not keep the others of its operation from being made."""

    def __init__(self, correction: Correction) -> None:
        super().__init__(correction.run, [], {})
        self.correction = correction

    def execute(self, _state: Any, host: Any, _connector_arguments: Any) -> bool:
        """Make the correction. Returns False if it fails, after logging the reason."""
        try:
            self.correction.run()
        except Exception:
            logger.error(f"{host.print_prefix}{self.correction.change.resource}: {self.correction.error}")
            return False
        return True


@operation()
def correct(
    find: Callable[[], Sequence[Correction]],
    resources: Sequence[str] = (),  # noqa: ARG001 - engine.operation_calls reads it from the call
) -> Generator[CorrectionCommand, None, None]:
    """Make the corrections that ``find`` returns. ``resources``: keys of all resources that the operation looks after,
    where the desired state does not list them. Call it with ``_continue_on_error=True``."""
    try:
        corrections = find()
    except DeployError as error:
        raise OperationError(error.full_text) from error
    for correction in corrections:
        correction.allowed = True
    yield from map(CorrectionCommand, corrections)
