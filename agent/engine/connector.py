"""pyinfra's connector ``@here``: commands on this host, as ``@local`` runs them, at a fraction of the cost.

    a command known by its text    an answer from this process (``facts/known.py``)
    any other command              a shell of its own, started without a fork of this process
    a command as another user, in another folder, with a terminal, a time limit or input    ``@local``

All three give the same answer; ``tests/engine/test_connector.py`` compares them.
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
"""Seconds for which an answer is kept. Not longer, because deploy code may ask repeatedly to wait for a change."""

_NO_MATTER = frozenset({"_retries", "_retry_delay", "_retry_until", "_temp_dir", "_success_exit_codes"})
"""Arguments of pyinfra that do not change what a command does."""

_FACTS = "pyinfra.facts."

Result = tuple[int, CommandOutput]


class HereConnector(LocalConnector):
    """The connector. While a deploy is prepared, it keeps the answers of the shell to pyinfra's own facts, until any
    other command runs."""

    is_root: ClassVar[bool] = False
    """True where this process is root, or is confined and can look at the host like root."""

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._asking = False
        self._memory: dict[str, tuple[float, Result]] = {}
        self.trace: DeployTrace | None = None
        """The trace that gets each command before it runs; None where none is made."""

    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:  # noqa: ARG004
        yield "@here", {}, ["@here"]

    @contextmanager
    def asking(self, fact: type) -> Iterator[None]:
        """Count the commands within it as questions of ``fact``. The questions of pyinfra's own facts change nothing,
        except for the fact that runs any command (``Command``)."""
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
        """The text of a command without arguments that change what it does; None for any other."""
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
