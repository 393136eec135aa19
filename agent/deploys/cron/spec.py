"""cron: jobs of the system's cron daemon, each a file of its own in /etc/cron.d.

- cron:
    backup: {command: /usr/local/bin/backup, schedule: "15 3 * * *"}
    report: {command: "report --month=$(date +%m)", schedule: "@monthly", user: ann, env: {MAILTO: ann@example.org}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, field_validator

from agent.deploys.cron.host import path_of
from agent.deploys.items import FILE_MODE, Item, concrete_items
from agent.deploys.spec import ByName, Concrete, NamedEntry, Sources, each_by_name, same_resources
from agent.deploys.written import Number, UserName, Variable, checked
from agent.domain.fault import Mistake

SCHEDULE_NAMES = ("@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


@dataclass(frozen=True, slots=True)
class _Field:
    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """The names of ``low`` and the numbers after it."""

    def number(self, text: str) -> int | None:
        if text.isascii() and text.isdecimal() and len(text) <= 2:
            return int(text)
        lower = text.lower()
        return self.low + self.names.index(lower) if lower in self.names else None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

_PART = re.compile(r"(?P<first>\*|[^-/*]+)(-(?P<last>[^-/*]+))?(/(?P<step>\d{1,3}))?")


def normalised_schedule(schedule: str) -> str:
    """``schedule`` with single spaces, as crontab(5) has it. Raises ValueError with all that is wrong."""
    text = " ".join(schedule.split())
    if text.startswith("@"):
        if text not in SCHEDULE_NAMES:
            raise Mistake(f"there is no {text!r}", f"write five fields or one of {', '.join(SCHEDULE_NAMES)}")
        return text
    fields = text.split()
    if len(fields) != len(_FIELDS):
        titles = ", ".join(field.title for field in _FIELDS)
        raise Mistake(f"{schedule!r} has {len(fields)} fields and not five", f"write {titles}; or @daily")
    complaints = [wrong for field, text in zip(_FIELDS, fields, strict=True) for wrong in _complaints(field, text)]
    if complaints:
        raise Mistake("; ".join(complaints), "write it as crontab(5) says: 30 2 * * 1-5")
    return text


def _complaints(field: _Field, text: str) -> Iterator[str]:
    for part in text.split(","):
        complaint = _complaint(field, part)
        if complaint:
            yield f"{field.title} {part!r}: {complaint}"


def _complaint(field: _Field, part: str) -> str:
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"] is not None):
        return "write *, a number, a range like 1-5, or either of * and a range with a step like */15"
    first, last, step = match["first"], match["last"], match["step"]
    if step is not None and first != "*" and last is None:
        return f"a step goes with * or a range; write {first}-{field.high}/{step}"
    if step is not None and not 1 <= int(step) <= field.high:
        return f"a step is a number from 1 to {field.high}"
    return _range_complaint(field, [text for text in (first, last) if text not in (None, "*")])


def _range_complaint(field: _Field, ends: list[str]) -> str:
    """The complaint about a range of the field; empty if it is sound. ``ends``: one number or two, or none for
    ``*``."""
    numbers = [number for end in ends if (number := field.number(end)) is not None]
    if len(numbers) < len(ends) or not all(field.low <= number <= field.high for number in numbers):
        names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        return f"a number from {field.low} to {field.high}{names} is expected"
    return f"{ends[0]} comes after {ends[-1]}" if numbers != sorted(numbers) else ""


JobName = Annotated[
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
    schedule: Annotated[str, AfterValidator(normalised_schedule)] | None = None
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

    jobs: dict[JobName, CronJob] = Field(default_factory=dict)
    """By name: letters, digits, `-` and `_`. In the short form this level is left out."""

    def concrete(self, sources: Sources) -> Concrete:  # noqa: ARG002 - nothing of the commit is needed
        texts = each_by_name(self.jobs, lambda name, job: job.text(name))
        items = [
            Item(resource_key=f"cron:{name}", path=path_of(name), kind="file", text=text, mode=FILE_MODE)
            for name, text in texts.items()
        ]
        written, resources = concrete_items(items)
        users = {f"cron:{name}": job.user for name, job in self.jobs.items()}
        relies_on = {"package:cron": f"{next(iter(self.jobs))} is a job for cron"} if self.jobs else {}
        return Concrete({"items": written, "users": users}, resources, same_resources(resources), relies_on)


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
