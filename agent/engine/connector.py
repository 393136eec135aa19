"""pyinfra's connector ``@here``: commands on this host, as ``@local`` runs them, at a fraction of the cost.

    known by its text    answered in this process (``answers/known.py``)
    any other            a shell of its own, started without a fork of this process
    as somebody else, elsewhere, with a terminal, a time limit or input: by ``@local``, whose way it is

The same answer comes out of all three; ``tests/engine/test_connector.py`` compares them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.state import StateStage
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.facts.server import Command

from agent.engine.facts.known import USERS, answered
from agent.engine.output import run
from agent.engine.run_as import as_root

if TYPE_CHECKING:
    from agent.engine.deploy_trace import DeployTrace

REMEMBERED_S = 1.0
"""How long an answer is good for: deploy code may wait for something by asking again and again."""

_NO_MATTER = frozenset({"_retries", "_retry_delay", "_retry_until", "_temp_dir", "_success_exit_codes"})
"""Arguments that do not change what a command does."""

_FACTS = "pyinfra.facts."

Result = tuple[int, CommandOutput]


class HereConnector(LocalConnector):
    """Remembers, while a deploy is prepared, what pyinfra's own facts were told by a shell, until a command runs that
    is none of these questions."""

    is_root: ClassVar[bool] = False
    """True where this process may do all that root may, or is confined and looks like it."""

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._asking = False
        self._memory: dict[str, tuple[float, Result]] = {}
        self.trace: DeployTrace | None = None
        """Where it is set, it hears of each command before it runs."""

    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:  # noqa: ARG004
        yield "@here", {}, ["@here"]

    @contextmanager
    def asking(self, fact: type) -> Iterator[None]:
        """Within it commands are questions of ``fact``. Those of pyinfra's own facts change nothing, but for the one
        that takes any command."""
        before = self._asking
        self._asking = issubclass(fact, FactBase) and fact.__module__.startswith(_FACTS) and fact is not Command
        try:
            yield
        finally:
            self._asking = before

    def run_shell_command(
        self,
        command: Any,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        text = None if print_output or print_input else self._plain(command, arguments)
        if self.trace and self.state.current_stage == StateStage.Prepare:
            self.trace.before(f"{command}" if text is None else text)
        if text is None:
            self._memory.clear()
            return super().run_shell_command(command, print_output, print_input, **arguments)
        code, output = self._recalled(text) or self._found(text)
        return code in (arguments.get("_success_exit_codes") or (0,)), output

    def _plain(self, command: Any, arguments: Mapping[str, Any]) -> str | None:
        """The text of a command that nothing is peculiar about; None of any other."""
        given = as_root({**arguments}) if self.is_root else {**arguments}
        shell = given.pop("_shell_executable", "sh")
        peculiar = any(value for name, value in given.items() if name not in _NO_MATTER)
        if peculiar or shell != "sh" or not isinstance(command, str | StringCommand):
            return None
        return command if isinstance(command, str) else command.get_raw_value()

    def _recalled(self, text: str) -> Result | None:
        until, result = self._memory.get(text, (0.0, None))
        return result if self._remembers() and until > time.monotonic() else None

    def _found(self, text: str) -> Result:
        lines = answered(text)
        if lines is not None:
            result = 0, CommandOutput([OutputLine("stdout", line) for line in lines])
        else:
            if not self._remembers():
                self._memory.clear()
            result = run(text)
        if (lines is None or text == USERS) and self._remembers():
            self._memory[text] = (time.monotonic() + REMEMBERED_S, result)
        return result

    def _remembers(self) -> bool:
        return self._asking and self.state.current_stage == StateStage.Prepare
