"""cron: jobs of the system's cron daemon, each a file of its own in /etc/cron.d.

- cron:
    backup: {command: /usr/local/bin/backup, schedule: "15 3 * * *"}
    report: {command: "report --month=$(date +%m)", schedule: "@monthly", user: ann, env: {MAILTO: ann@example.org}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, field_validator

from agent.deploys.cron.host import path_of
from agent.deploys.cron.schedule import normalised
from agent.deploys.items import FILE_MODE, Item, concrete_items
from agent.deploys.spec import ByName, Concrete, NamedEntry, Sources, same_resources
from agent.deploys.values import Number, UserName, Variable, checked
from agent.domain.fault import Mistake

Name = Annotated[
    str,
    checked(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}").fullmatch,
        "a name for a job",
        "write letters, digits, - and _ (cron reads no file with a dot in its name)",
    ),
]
"""run-parts(8), which cron keeps to: files with a dot in their name are not read."""

LINE_LIMIT = 998
"""Characters of a command, and of a variable with its value: Debian's cron refuses a file with a longer one."""

_HEADER = "# Managed by Hostwright: what is changed here by hand is put back.\n"


def _line(text: str, what: str) -> str:
    if any(ord(character) < 32 and character != "\t" for character in text) or "\x7f" in text:
        raise Mistake(f"{what}: this is more than one line, or holds control characters", "write one line")
    return text


def _escaped(command: str) -> str:
    return command.replace("%", r"\%")


def _command(text: str) -> str:
    line = _line(text, "command").strip()
    if not line:
        raise Mistake("there is no command", "write what is to be run")
    if "\\%" in line:
        raise Mistake(r"\% stands in the command", "write %: it is escaped for cron")
    if len(_escaped(line)) > LINE_LIMIT:
        raise Mistake(f"more than {LINE_LIMIT} characters are too many for cron", "put it into a script")
    return line


class CronJob(NamedEntry):
    """One job."""

    command: Annotated[str, AfterValidator(_command)] | None = None
    """One line for /bin/sh. Write a `%` as it is: the agent escapes it, so that cron does not take it for a new
    line."""
    schedule: Annotated[str, AfterValidator(normalised)] | None = None
    """Five fields, `"15 3 * * *"` (minute, hour, day of the month, month, day of the week), or `@reboot` `@hourly`
    `@daily` `@weekly` `@monthly` `@yearly`. The host's own time zone counts."""
    user: UserName = "root"
    """The user who runs it."""
    env: Mapping[Variable, str | Number] = Field(default_factory=dict)
    """Variables of its environment. `MAILTO: ""` keeps cron from sending what it writes by mail."""
    comment: Annotated[str, AfterValidator(lambda text: _line(text, "comment"))] | None = None
    """A line above it in the file."""

    @field_validator("env")
    @classmethod
    def _env(cls, env: Mapping[str, str | Number]) -> Mapping[str, str | Number]:
        for name, value in env.items():
            text = _line(str(value), name)
            if '"' in text and "'" in text:
                raise Mistake(f"{name}: cron cannot take a value with both kinds of quotes", "leave one kind out")
            if len(name) + len(text) > LINE_LIMIT:
                raise Mistake(f"{name}: more than {LINE_LIMIT} characters are too many for cron", "shorten it")
        return env

    def text(self, name: str) -> str:
        """The text of the job's file. Raises Mistake if the command or the schedule is missing."""
        if self.command is None or self.schedule is None:
            missing = "command" if self.command is None else "schedule"
            raise Mistake(f"the job {name} has no {missing}", f"write its {missing}", ("jobs", name))
        comment = f"# {self.comment}\n" if self.comment else ""
        variables = "".join(f"{name}={_quoted(f'{value}')}\n" for name, value in sorted(self.env.items()))
        return f"{_HEADER}{comment}{variables}{self.schedule} {self.user} {_escaped(self.command)}\n"


class CronSpec(ByName):
    kind: ClassVar[str] = "cron"
    if_sealed: ClassVar[str] = (
        "every user sees jobs in /etc/cron.d and in the process list: write the secret with `files` to a file of mode "
        '"0600", and let the job read that'
    )
    level: ClassVar[str] = "jobs"

    jobs: dict[Name, CronJob] = Field(default_factory=dict)
    """By name: letters, digits, `-` and `_`. In the short form this level is left out."""

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        items = [
            Item(resource_key=f"cron:{name}", path=path_of(name), kind="file", text=job.text(name), mode=FILE_MODE)
            for name, job in self.jobs.items()
        ]
        written, resources = concrete_items(items)
        users = {f"cron:{name}": job.user for name, job in self.jobs.items()}
        relies_on = {"package:cron": f"{next(iter(self.jobs))} is a job for cron"} if self.jobs else {}
        return Concrete({"items": written, "users": users}, resources, same_resources(resources), relies_on)


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
