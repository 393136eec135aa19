"""The trace of a deploy file: the questions that its commands rest on, each asked right before the first of these."""

from __future__ import annotations

from agent.domain.question import Question, UnsignedError, UnsteadyError
from agent.engine.facts.questions import rests_on
from agent.trace.answers import trace, unsigned, unsteady


class DeployTrace:
    """The trace of one deploy file while it is prepared. A command whose questions are not known becomes a reason why
    only another plan can find changes."""

    def __init__(self) -> None:
        self._commands: set[str] = set()
        self._questions: set[Question] = set()
        self._lines: list[str] = []
        self._reasons: dict[str, None] = {}

    def before(self, command: str) -> None:
        """Ask the questions that ``command``, which is about to run, rests on."""
        if command in self._commands:
            return
        self._commands.add(command)
        try:
            new = [question for question in rests_on(command) if question not in self._questions]
            self._lines.append(trace(new))
            self._questions.update(new)
        except UnsteadyError as error:
            self._lines.append(unsteady(f"{error}"))
        except (UnsignedError, OSError) as error:
            self._reasons[f"{error}"] = None

    def text(self, deploy: str) -> str:
        """The lines of the trace, as of ``trace.answers``. ``deploy``: its name, for reasons."""
        reasons = self._reasons if self._commands else ("it asks nothing",)
        return "".join((*self._lines, *(unsigned(f"{deploy}: {reason}") for reason in reasons)))
