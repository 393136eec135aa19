"""The run of a prepared deploy: its allowed operations one by one, each with a message about its start and result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pyinfra.api.command import PyinfraCommand, StringCommand
from pyinfra.api.operations import run_host_op
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput

from agent.deploys.correct import CorrectionCommand
from agent.deploys.correction import Correction
from agent.domain.outcome import OperationResult, Status
from agent.engine.built_in import announced, first_failure
from agent.engine.code import is_no_hosts, one_line
from agent.engine.logs import tail
from agent.engine.output import Reading
from agent.engine.prepare import Operation, PyinfraDeploy, forget_files
from agent.engine.protocol import Done, Operated, Started


def execute(
    deploy: PyinfraDeploy,
    allowed: frozenset[str],
    *,
    send: Callable[[Started | Operated], None],
    stopping: Callable[[], bool],
) -> Done:
    """Run the operations that change an ``allowed`` resource, in order, until the end, a failure, or until ``stopping``
    is true.

    An operation that had nothing to do in the plan runs too, once an earlier one has really changed something: it may
    look at what that one changed. Only a planned change can be held.
    """
    deploy.state.set_stage(StateStage.Execute)
    deploy.state.is_executing = True
    for operation in deploy.operations:
        deploy.meta(operation).expected = None
    planned = {change.resource for change in deploy.changes}
    changed = False
    with deploy.context():
        for operation in deploy.operations:
            if stopping():
                return Done(deploy.name, Status.STOPPED, "")
            if operation.changes:
                may_run = any(change.resource in allowed for change in operation.changes)
            else:
                may_run = changed and operation.key not in planned
            if not may_run:
                # An _if that depends on it finds "did not change".
                deploy.meta(operation).set_complete(True, [], CommandOutput([]))
                continue
            # An earlier operation may have made a change by which this one has more to do than was planned.
            more = frozenset(operation.owns) - planned if changed else frozenset()
            run = _Run(deploy, operation, allowed | more, send, stopping)
            failure = run.carry_out()
            changed = changed or run.changed
            if failure:
                return Done(deploy.name, Status.FAILED, failure)
            if run.cut_short:
                return Done(deploy.name, Status.STOPPED, "")
    return Done(deploy.name, Status.DONE, "")


@dataclass(slots=True)
class _Run:
    """One operation while it runs."""

    deploy: PyinfraDeploy
    operation: Operation
    allowed: frozenset[str]
    send: Callable[[Started | Operated], None]
    stopping: Callable[[], bool]
    changed: bool = False
    cut_short: bool = False
    """True once ``stopping`` was true between two corrections."""
    _commands: int = 0
    """The number of commands begun that are not corrections."""
    _failed: list[Correction] = field(default_factory=list)
    """The failed corrections. Their errors have been sent."""
    _begun: float = field(default_factory=time.monotonic)

    def carry_out(self) -> str:
        """Run the operation. Return the reason why the deploy cannot go on, in one line; empty where it can."""
        forget_files()
        self.deploy.log.clear()
        data, meta = self.deploy.data(self.operation), self.deploy.meta(self.operation)
        wanted = data.command_generator
        data.command_generator = lambda: self._permitted(wanted())
        fatal = ""
        try:
            if not run_host_op(self.deploy.state, self.deploy.host, self.operation.hash):
                fatal = self._reason()
        except (Exception, SystemExit) as error:
            fatal = self._reason(error)
        finally:
            Reading.ends_only = False  # after a failure pyinfra does not resume the generator, which would reset it
        failed = not meta.did_succeed(False)
        self.changed = self.changed or self._commands > (1 if failed else 0)
        if self._commands or (failed and not self._failed):
            output = "\n".join(meta._combined_output.output_lines) if meta._combined_output else ""
            result = OperationResult(
                deploy=self.deploy.name,
                resource=self.operation.key,
                operation=self.operation.text,
                succeeded=not failed,
                changed=self.changed,
                seconds=round(time.monotonic() - self._begun, 3),
                output=tail(output),
                error=tail(fatal or self._reason()) if failed else "",
            )
            self.send(Operated((result,)))
        if fatal and self._failed:
            return first_failure(self._failed)
        return one_line(f"{self.operation.text}: {fatal.splitlines()[-1]}") if fatal else ""

    def _permitted(self, commands: Iterator[PyinfraCommand]) -> Iterator[PyinfraCommand]:
        """The commands that may run. Messages about each correction, and about the first other command, are sent."""
        if self.operation.bulk:
            # All of them first: corrections that are made together have to know each other.
            everything = list(commands)
            for command in everything:
                if isinstance(command, CorrectionCommand):
                    command.correction.allowed = command.correction.change.resource in self.allowed
            commands = iter(everything)
        for command in commands:
            if not isinstance(command, CorrectionCommand):
                if not self._commands:
                    self._begun = time.monotonic()
                    self.send(Started(self.deploy.name, self.operation.key, self.operation.text))
                self._commands += 1
                # A function may ask for facts, which have to be whole.
                Reading.ends_only = isinstance(command, str | StringCommand)
                yield command
                Reading.ends_only = False
            elif command.correction.change.resource in self.allowed:
                if self.stopping() and not command.correction.is_done():
                    self.cut_short = True
                    return
                yield from self._corrected(command)

    def _corrected(self, command: CorrectionCommand) -> Iterator[PyinfraCommand]:
        correction = command.correction
        try:
            with announced(self.deploy.name, correction, self.send):
                yield command
        finally:
            # Also reached where pyinfra drops the generator and does not resume it.
            self.changed = self.changed or correction.done
            if not correction.done:
                self._failed.append(correction)

    def _reason(self, error: BaseException | None = None) -> str:
        """The reason of the operation's failure, never empty: the stderr of its commands, else the complaints that
        pyinfra logged, and ``error``."""
        output = self.deploy.meta(self.operation)._combined_output
        lines = [line for line in output.stderr_lines if line.strip()] if output else []
        lines = lines or self.deploy.log.complaints
        if error is not None and not is_no_hosts(error):
            lines = [*lines, f"{type(error).__name__}: {error}"]
        return tail("\n".join(lines)).strip() or "failed, and its command said nothing"
